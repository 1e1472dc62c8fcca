"""The contest: other model servers and ours before the same ONNX model, called alike, on 2 cores.

make bench NAME=serving-peers                            # all of them: about five minutes
make bench NAME=serving-peers ARGS="--only Interplay --seconds 3"

Each is asked for the ten best of 3,700 items after a history of 100, which is in the request. Its
answers, asked for by 32 callers at once, must be those of ONNX Runtime run directly. Then 32
callers call as fast as they are answered, and calls arrive at random at a rate that all sustain.
Servers and load generator share the cores. What a contestant needs is installed on demand.
"""

import os
import signal
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click
import grpc
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.load import Load, LoadError, LoadResult, run
from benchmarks.peers.contestants import OURS, PYTHON_SERVERS, TRITONS, Contestant, contestants
from benchmarks.peers.model import write_model
from benchmarks.peers.ranking import ITEMS, LENGTH, MODEL, Ranking
from benchmarks.peers.running import NotRunError, Server, adopt_orphans, started
from benchmarks.report import Figure, report

CORES = 2
CALLERS = 32
CONNECTIONS = 8  # gRPC: processes that share a port get connections, not calls
RATE = 150.0  # calls a second: what the slowest sustains with ease
CHECKED = 64  # answers
HISTORIES = 256
START_S = 120.0
CALL_S = 5.0
WARMUP_S = 3.0
TABLE_WIDTH = 110

Ask = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one contestant did."""

    closed: LoadResult
    cpu_ms: float  # of a call, closed loop
    memory_mib: float
    open: LoadResult


@click.command()
@click.option("--only", multiple=True, help="contestants whose names begin so")
@click.option("--seconds", default=8.0, help="each of the two measurements")
def main(only: tuple[str, ...], seconds: float) -> None:
    """Measures, prints the table, and writes benchmarks/results/serving_peers.json."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that contestants are ended
    adopt_orphans()
    _stay_on(CORES)
    write_model(MODEL)
    histories = np.random.default_rng(0).integers(1, ITEMS + 1, (HISTORIES, LENGTH))
    outcomes: dict[str, Outcome | str] = {}
    for each in contestants():
        if each.name.startswith(only or ("",)):
            print(f"{each.name} ...", flush=True)
            outcomes[each.name] = _outcome(each, histories, seconds)
    Console(width=TABLE_WIDTH).print(_table(outcomes))
    for name, outcome in outcomes.items():
        if isinstance(outcome, str):
            print(f"{name} was not run: {outcome}")
    details = [figure for name in outcomes for figure in _details(name, outcomes[name])]
    sys.exit(report("serving_peers", list(_goals(outcomes)), details=details))


def _stay_on(cores: int) -> None:
    """This process and all it starts, where the system can do that."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


# ---- One contestant ----------------------------------------------------------------------------


def _outcome(contestant: Contestant, histories: np.ndarray, seconds: float) -> Outcome | str:
    """What it did, or why it did not run."""
    try:
        with started(contestant) as server:
            with _asking(server) as ask:
                _await(server, ask, contestant.wire.request(histories[0]))
                _check(contestant, ask, histories[:CHECKED])
            return _measure(server, [contestant.wire.request(each) for each in histories], seconds)
    except (NotRunError, LoadError) as error:
        return str(error)


@contextmanager
def _asking(server: Server) -> Iterator[Ask]:
    """A function that any thread may call."""
    method = server.contestant.wire.method
    if server.contestant.wire.http:
        yield lambda request: _post(server.target + method, request)
        return
    options = [("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(server.target, options) as channel:
        call = channel.unary_unary(method)
        yield lambda request: call(request, timeout=CALL_S, wait_for_ready=True)


def _post(url: str, body: bytes) -> bytes:
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=CALL_S) as answer:
        data: bytes = answer.read()
        return data


def _await(server: Server, ask: Ask, request: bytes) -> None:
    """Returns with the first answer; what is not there yet refuses connections or calls."""
    until = time.monotonic() + START_S
    while True:
        try:
            ask(request)
            return
        except (OSError, grpc.RpcError) as error:
            server.must_live()
            if time.monotonic() > until:
                raise NotRunError(f"no answer within {START_S:g} s: {error}") from None
            time.sleep(0.2)


def _check(contestant: Contestant, ask: Ask, histories: np.ndarray) -> None:
    """Many at once, so that they are batched; the graph's answer depends on that by rounding."""
    ranking = Ranking(threads=1)
    requests = [contestant.wire.request(each) for each in histories]
    with ThreadPoolExecutor(CALLERS) as threads:
        try:
            answers = list(threads.map(ask, requests))
        except (OSError, grpc.RpcError) as error:
            raise NotRunError(f"a call failed: {error}") from None
    for history, answer in zip(histories, answers, strict=True):
        item_K, score_K = contestant.wire.answer(answer)
        right_1K, score_1K = ranking.rank(history[None])
        if not np.array_equal(item_K, right_1K[0]) or not np.allclose(score_K, score_1K[0]):
            raise NotRunError(f"a wrong answer: {item_K}; it is {right_1K[0]}")


def _measure(server: Server, requests: Sequence[bytes], seconds: float) -> Outcome:
    _drive(server, requests, callers=CALLERS, seconds=WARMUP_S)
    before_s = server.cpu_s()
    closed = _drive(server, requests, callers=CALLERS, seconds=seconds)
    cpu_ms = (server.cpu_s() - before_s) * 1e3 / max(1, len(closed.calls))
    at_rate = _drive(server, requests, rate=RATE, seconds=seconds)
    return Outcome(closed, cpu_ms, server.memory_mib(), at_rate)


def _drive(server: Server, requests: Sequence[bytes], **how: Any) -> LoadResult:
    load = Load(
        target=server.target,
        method=server.contestant.wire.method,
        requests=requests,
        warmup_s=0.0,
        deadline_ms=CALL_S * 1e3,
        connections=CONNECTIONS,
        **how,
    )
    result = run(load)
    if result.counts().get("OK", 0) < len(result.calls):
        raise NotRunError(f"calls failed: {result.counts()}")
    return result


# ---- What is shown -----------------------------------------------------------------------------

COLUMNS = {
    "answers/s": lambda each: each.closed.achieved_rate,
    "p50, ms": lambda each: each.closed.summary()["p50_ms"],
    "p99, ms": lambda each: each.closed.summary()["p99_ms"],
    "CPU ms/call": lambda each: each.cpu_ms,
    "MiB": lambda each: each.memory_mib,
    f"p50 at {RATE:g}/s": lambda each: each.open.summary()["p50_ms"],
    f"p99 at {RATE:g}/s": lambda each: each.open.summary()["p99_ms"],
}


def _table(outcomes: dict[str, Outcome | str]) -> Table:
    title = f"{CALLERS} callers, {CORES} cores for servers and load generator together"
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("contestant")
    for name in COLUMNS:
        table.add_column(name, justify="right")
    for name, each in outcomes.items():
        shown = ("not run",) if isinstance(each, str) else _row(each)
        table.add_row(name, *shown)
    return table


def _row(outcome: Outcome) -> Iterator[str]:
    return (f"{value(outcome):,.4g}" for value in COLUMNS.values())


def _details(name: str, outcome: Outcome | str) -> Iterator[Figure]:
    if isinstance(outcome, str):
        yield Figure(f"{name}: not run", float("nan"))
    else:
        yield from (Figure(f"{name}: {column}", get(outcome)) for column, get in COLUMNS.items())


def _goals(outcomes: dict[str, Outcome | str]) -> Iterator[Figure]:
    """Ours, with as many processes as do best, against whom there is to beat."""
    done = {name: each for name, each in outcomes.items() if isinstance(each, Outcome)}
    ours = [each for name, each in done.items() if name in OURS]
    if not ours:
        return
    best = max(ours, key=lambda each: each.closed.achieved_rate)
    for names, goal in ((PYTHON_SERVERS, 2.5), (TRITONS, 1.3)):
        rates = {name: done[name].closed.achieved_rate for name in names if name in done}
        if rates:
            rival = max(rates, key=lambda name: rates[name])
            ratio = best.closed.achieved_rate / rates[rival]
            yield Figure(f"answers/s: ours / {rival}", ratio, goal=goal, better="higher")
    peers = [each for name, each in done.items() if name not in OURS]
    for column, get in COLUMNS.items():
        if peers and column.startswith("p99"):
            least = min(map(get, peers))
            yield Figure(f"{column}: ours / the best of them", get(best) / least, goal=1.0)


if __name__ == "__main__":
    main()
