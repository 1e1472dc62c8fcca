"""The features' figures: reads, merges, recording, visibility and rebuilding, on both backends.

make bench NAME=features      # starts redis-server and nats-server of its own
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks import feature_reads
from benchmarks.composed import run_program, serving
from benchmarks.frontend import RECORD, Frontend
from benchmarks.load import Load, LoadResult, percentile, run
from benchmarks.recording import BATCH
from benchmarks.report import Figure, report
from features.online.materialization import materialize
from features.online.store import OnlineFeatures
from features.settings import FeatureSettings, Home
from tests.nats_server import BINARY as NATS
from tests.nats_server import NatsServer
from tests.redis_server import BINARY as REDIS
from tests.redis_server import RedisServer

ROOT = Path(".interplay/bench")
SIMULATION = ("--customers", "10000", "--days", "60", "--seed", "3")
SECONDS = 8.0
VISITS = 300  # interactions whose way to another process is timed
PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Backend:
    """Where log and online store are."""

    name: str
    settings: FeatureSettings
    servers: int  # serving processes that record side by side
    accepted_goal: float

    @property
    def arguments(self) -> list[str]:
        """For a program."""
        urls = {"--log-url": self.settings.log_url, "--online-url": self.settings.online_url}
        return [word for flag, url in urls.items() if url for word in (flag, url)]


def main() -> None:
    """Measures, prints the table, and writes benchmarks/results/features.json."""
    figures: list[Figure] = []
    if shutil.which(REDIS) is None or NATS is None:
        sys.exit("it needs redis-server and nats-server: apt-get install both")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="interplay-")))
        redis = stack.enter_context(RedisServer(folder))
        nats = stack.enter_context(NatsServer(folder / "nats"))
        embedded = FeatureSettings(home=ROOT / "embedded", max_records=feature_reads.RECORDS)
        shared = replace(
            embedded, home=ROOT / "shared", log_url=nats.url, online_url=redis.plain_url
        )
        for backend in (
            Backend("SQLite", embedded, 1, 5_000),
            Backend("Redis + NATS", shared, 2, 10_000),
        ):
            shutil.rmtree(backend.settings.home, ignore_errors=True)
            figures += _measure(backend)
    sys.exit(report("features", figures))


def _measure(backend: Backend) -> Iterator[Figure]:
    name, settings = backend.name, backend.settings
    online = OnlineFeatures(settings)
    feature_reads.fill(online, feature_reads.CUSTOMERS)
    if settings.online_url:
        yield from feature_reads.against_floor(online, settings.online_url, name)
        yield from feature_reads.reads(online, name, batch=64, goal_ms=64 * 0.025)
        yield from feature_reads.merges(online, name, goal=0.25)
        yield from feature_reads.coalesced(online, name)
        yield from feature_reads.memory(online, settings.online_url, name)
    else:
        yield from feature_reads.reads(online, name, batch=16, goal_ms=1.5)
        yield from feature_reads.merges(online, name, goal=None)
    yield from _recording(backend)
    yield _rebuilding(backend)


def _recording(backend: Backend) -> Iterator[Figure]:
    """Through servers, from other processes: durable and visible when answered."""
    home = backend.settings.home
    with ExitStack() as stack:
        most = str(backend.settings.max_records)
        start = [[*backend.arguments, "--max-records", most]] * 2
        addresses = [stack.enter_context(serving(home, *arguments)) for arguments in start]
        yield _accepted(backend, addresses[: backend.servers])
        load = Load(
            target=addresses[0],
            method=RECORD,
            requests="benchmarks.recording:singles",
            callers=1,
            seconds=SECONDS,
        )
        singles = run(load).latencies_ms(code=0)
        name = f"{backend.name}: one interaction recorded"
        yield Figure(f"{name}, p50", percentile(singles, 50), "ms")
        yield Figure(f"{name}, p99", percentile(singles, 99), "ms", goal=10.0)
        ways = _ways_ms(*addresses)
        name = f"{backend.name}: from accepted to seen by another process"
        yield Figure(f"{name}, p50", percentile(ways, 50), "ms")
        yield Figure(f"{name}, p99", percentile(ways, 99), "ms", goal=20.0)


def _accepted(backend: Backend, addresses: Sequence[str]) -> Figure:
    loads = [
        Load(
            target=address,
            method=RECORD,
            requests="benchmarks.recording:batches",
            callers=4,
            seconds=SECONDS,
            deadline_ms=10_000,
        )
        for address in addresses
    ]
    with ThreadPoolExecutor(len(loads)) as executor:
        results: list[LoadResult] = list(executor.map(run, loads))
    rate = sum(each.achieved_rate for each in results) * BATCH
    failed = {code for each in results for code in each.counts()} - {"OK"}
    if failed:
        raise SystemExit(f"{RECORD} failed: {failed}")
    name = f"{backend.name}: interactions accepted, batches of {BATCH}, {len(loads)} server(s)"
    return Figure(name, rate, "/s", goal=backend.accepted_goal, better="higher")


def _ways_ms(near: str, far: str) -> np.ndarray:
    """From the answer of one server to the first answer of another that shows the interaction."""
    ways = []
    with closing(Frontend(near)) as here, closing(Frontend(far)) as there:
        for number in range(VISITS):
            customer = f"way-{number}"
            here.record(customer, "web", ["view"], "item-000001")
            accepted = time.perf_counter()
            while not there.held(customer):
                if time.perf_counter() > accepted + PATIENCE_S:
                    raise SystemExit(f"{customer} was not seen within {PATIENCE_S} s")
            ways.append((time.perf_counter() - accepted) * 1e3)
    return np.array(ways)


def _rebuilding(backend: Backend) -> Figure:
    """The history and the whole log, into an online store."""
    home = Home(backend.settings.home)
    run_program("features", "simulate", *SIMULATION, "--home", home.path)
    began = time.perf_counter()
    done = materialize(backend.settings, whole_log=True)
    rate = done.interaction_count / (time.perf_counter() - began)
    name = f"{backend.name}: rebuilt from {done.interaction_count:,} interactions"
    return Figure(name, rate, "/s", goal=50_000, better="higher")


if __name__ == "__main__":
    main()
