"""What the policy costs: its part of a decision over 100 candidates, by the server's own count.

One caller asks for 10 items, then for all 100. How long a whole call takes is measured where it is
made. How long the policy takes of it (values, arbitration, exploration, and the words for all that)
is in the server's metrics, where each run of the policy falls into a bucket. What a call takes of
the cores is counted by the system; it hardly grows when others keep them busy.
"""

import socket
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.composed import Server, run_program, started
from benchmarks.frontend import DECIDE, question
from benchmarks.load import OK, Load, run
from benchmarks.report import Figure
from benchmarks.story import customers
from features.settings import Home

CANDIDATES = 100
OFFERED = (10, 100)
CALLS = 2000
CUSTOMERS = 200
POLICY = f"version: cost-1\npool: {CANDIDATES}\nexploration: {{share: 0.05, places: 3}}\n"
STAGE, LIMIT_S = "interplay_stage_seconds", 0.001


@dataclass(frozen=True, slots=True)
class Runs:
    """What the server has counted of the policy's runs."""

    count: float
    within: float  # of them, not longer than LIMIT_S
    seconds: float

    def __sub__(self, other: "Runs") -> "Runs":
        return Runs(
            self.count - other.count, self.within - other.within, self.seconds - other.seconds
        )


def figures(home: Home) -> Iterator[Figure]:
    """Of a server on this home, which holds a history and a champion."""
    run_program("features", "materialize", "--home", home.path)
    with tempfile.TemporaryDirectory(prefix="interplay-") as folder:
        policy, port = Path(folder) / "policy.yaml", _free_port()
        policy.write_text(POLICY)
        where = ("--policy", str(policy), "--metrics-port", str(port), "--log-share", "0")
        with started(home.path, *where) as server:
            for k in OFFERED:
                yield from _measured(server, port, home, k)


def _measured(server: Server, port: int, home: Home, k: int) -> Iterator[Figure]:
    asked = customers(home, most=CUSTOMERS)
    requests = [question(each, "web", k=k).SerializeToString() for each in asked]
    load = Load(target=server.address, method=DECIDE, requests=requests, callers=1, calls=CALLS)
    before, cpu_s = runs(_read(port)), server.cpu_s()
    call_ms = run(load).latencies_ms(code=OK)
    policy, cpu_s = runs(_read(port)) - before, server.cpu_s() - cpu_s
    policy_ms = 1e3 * policy.seconds / policy.count
    name = f"policy over {CANDIDATES} candidates, {k} asked for"
    within = 100 * policy.within / policy.count
    yield Figure(f"{name}: within 1 ms", within, "%", goal=99.0, better="higher")
    yield Figure(f"{name}: mean", policy_ms, "ms")
    yield Figure(f"{name}: whole call, mean", float(np.mean(call_ms)), "ms")
    yield Figure(f"{name}: whole call, CPU", 1e3 * cpu_s / policy.count, "ms")
    share = 100 * policy_ms / float(np.mean(call_ms))
    yield Figure(f"{name}: share of the whole call", share, "%", goal=15.0)


def runs(metrics: str) -> Runs:
    """What a page of metrics says of the policy."""
    families = {each.name: each for each in text_string_to_metric_families(metrics)}
    samples = [each for each in families[STAGE].samples if each.labels["stage"] == "policy"]
    totals = {each.name.removeprefix(STAGE): each.value for each in samples}
    buckets = {float(each.labels["le"]): each.value for each in samples if "le" in each.labels}
    return Runs(totals["_count"], buckets[LIMIT_S], totals["_sum"])


def _read(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5.0) as page:
        text: str = page.read().decode()
        return text


def _free_port() -> int:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
