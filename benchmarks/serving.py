"""The whole path's figures: call, features from Redis through Feast, model, answer; on all cores.

make bench NAME=serving ARGS="--data ../shared/data/tmall"      # starts a redis-server of its own

10,000 items, histories of which the newest 50 interactions count, width 64, two blocks. Server,
Redis and callers share the cores: what an answer costs the server alone is told beside.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import click
import numpy as np
import pyarrow as pa

from benchmarks.composed import Server, run_program, started
from benchmarks.frontend import DECIDE, question
from benchmarks.load import OK, Load, LoadResult, percentile, run
from benchmarks.report import Figure, report
from benchmarks.story import customers
from features.catalog_parts import read_items, write_items
from features.item import ITEM_SCHEMA
from features.online.store import OnlineFeatures
from features.settings import FeatureSettings, Home
from features.vocabulary import load_vocabulary
from serving.model.scorer import Feeds, Scorer
from serving.model.scoring import now_tick
from tests.redis_server import RedisServer
from training.publishing import Publisher

HOME = Home(Path(".interplay/bench/serving"))
ITEMS, K = 10_000, 10
CHANNEL = "web"
CALLERS = 64  # of the closed loop
CONNECTIONS = 16  # the system deals them out to the server's processes
SECONDS = 10.0
RATES = ((1000.0, 7.0), (2000.0, None))  # calls a second, and the goal for their p90 in ms
BATCHES = (1, 4, 8, 16, 32, 64)
BARE_S = 1.5  # of each size of batch


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="folder of tmall")
def main(data: Path | None) -> None:
    """Measures, prints the table, and writes benchmarks/results/serving.json."""
    _prepare(data)
    asked = customers(HOME, most=2000)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="interplay-")))
        redis = stack.enter_context(RedisServer(folder))
        run_program("features", "materialize", "--home", HOME.path, "--online-url", redis.url)
        where = ("--online-url", redis.plain_url, "--processes", "0", "--log-share", "0")
        with started(HOME.path, *where) as server:
            requests = [question(each, CHANNEL, k=K).SerializeToString() for each in asked]
            answers, figures = _closed_loop(server, requests)
            figures += _open_loop(server, requests)
        online = OnlineFeatures(FeatureSettings(home=HOME.path, online_url=redis.url))
        figures += _efficiency(answers, online, asked)
    sys.exit(report("serving", figures))


def _prepare(data: Path | None) -> None:
    """Real or simulated histories, as many items as is said above, and a model that was trained."""
    shutil.rmtree(HOME.path, ignore_errors=True)
    filling = ("simulate", "--customers", "2000") if data is None else ("import", str(data))
    run_program("features", *filling, "--home", HOME.path)
    lacking = ITEMS - len(read_items(HOME))
    blank = {"name": "", "category": "", "brand": "", "unavailable": False, "tags": []}
    more = [blank | {"item_id": f"more-{number:05d}"} for number in range(lacking)]
    write_items(HOME, pa.Table.from_pylist(more, schema=ITEM_SCHEMA))
    run_program("training", "train", "--home", HOME.path, "--epochs", "1")


def _closed_loop(server: Server, requests: Sequence[bytes]) -> tuple[float, list[Figure]]:
    result, cpu_ms = _drive(server, requests, callers=CALLERS)
    name = f"closed loop, {CALLERS} callers"
    return result.achieved_rate, [
        Figure(f"{name}: answers/s", result.achieved_rate, "/s"),
        Figure(f"{name}: CPU of the server for an answer", cpu_ms, "ms"),
        Figure("memory of the server", server.memory_bytes() / 2**20, "MiB"),
    ]


def _open_loop(server: Server, requests: Sequence[bytes]) -> Iterator[Figure]:
    for rate, goal_ms in RATES:
        result, cpu_ms = _drive(server, requests, rate=rate)
        name, latencies = f"open loop, {rate:,.0f} calls/s", result.latencies_ms()
        share = float(np.mean(result.calls["code"] == OK))
        yield Figure(f"{name}: answered", 100 * share, "%", goal=100.0, better="higher")
        yield Figure(f"{name}: p50", percentile(latencies, 50), "ms")
        yield Figure(f"{name}: p90", percentile(latencies, 90), "ms", goal=goal_ms)
        yield Figure(f"{name}: p99", percentile(latencies, 99), "ms")
        yield Figure(f"{name}: CPU of the server for an answer", cpu_ms, "ms")


def _drive(
    server: Server,
    requests: Sequence[bytes],
    *,
    callers: int | None = None,
    rate: float | None = None,
) -> tuple[LoadResult, float]:
    """The calls, and what an answer costs the server in ms of CPU."""
    before = server.cpu_s()
    load = Load(
        target=server.address,
        method=DECIDE,
        requests=requests,
        callers=callers,
        rate=rate,
        seconds=SECONDS,
        connections=CONNECTIONS,
        exact=False,  # the callers' core is one of the server's
    )
    result = run(load)
    answers = max(1.0, result.achieved_rate * (load.warmup_s + SECONDS))
    return result, (server.cpu_s() - before) / answers * 1e3


def _efficiency(answers: float, online: OnlineFeatures, asked: Sequence[str]) -> Iterator[Figure]:
    """Against what the model alone can do with all cores, on the same histories."""
    champion = Publisher(HOME).champion()
    assert champion is not None  # it has just been trained
    vocabulary, directory = load_vocabulary(), champion.directory
    scorers = [Scorer(directory, vocabulary, threads=1) for _ in os.sched_getaffinity(0)]
    histories = online.read_histories(list(asked))
    best, size = max((_bare(scorers, histories, size), size) for size in BATCHES)
    yield Figure(f"the bare model on all cores, at its best batch of {size}: rows/s", best, "/s")
    yield Figure("closed loop / bare model", answers / best, goal=0.6, better="higher")


def _bare(scorers: Sequence[Scorer], histories: Sequence[bytes], size: int) -> float:
    """Rows a second of one session a core, each in a thread of its own, encoding done before."""
    rng = np.random.default_rng(0)
    batches = [
        _feeds(scorers[0], [histories[at] for at in rng.choice(len(histories), size)])
        for _ in range(32)
    ]
    with ThreadPoolExecutor(len(scorers)) as threads:
        rates = threads.map(lambda scorer: _rate(scorer, batches), scorers)
        return size * sum(rates)


def _feeds(scorer: Scorer, histories: Sequence[bytes]) -> Feeds:
    size, fresh = len(histories), scorer.no_fresh
    feeds = scorer.encoded(histories, [1] * size, np.full(size, now_tick()), fresh=fresh)
    eligible_EV = np.ones((1, scorer.contract.item_count + 1), bool)
    return feeds | {
        "eligible_EV": eligible_EV,
        "mask_B": np.zeros(size, np.int64),
        "k": np.array(K),
    }


def _rate(scorer: Scorer, batches: Sequence[Feeds]) -> float:
    began, count = time.perf_counter(), 0
    while (took_s := time.perf_counter() - began) < BARE_S:
        scorer.run(batches[count % len(batches)])
        count += 1
    return count / took_s


if __name__ == "__main__":
    main()
