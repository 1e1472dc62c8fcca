"""What is left of a server that is asked for more than it can: good answers at 1x, 2x and 3x.

make bench NAME=overload

The server has the first half of the cores to itself and the callers the other: callers that took
the server's time would make the overload smaller than it is called. Each call gives 100 ms; an
answer is good if it comes within them, counted from when the call was due. What the callers can do
limits how far this goes: their own lag is told beside each rate.
"""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.composed import Server, run_program, started
from benchmarks.frontend import DECIDE, question
from benchmarks.load import OK, Load, LoadResult, percentile, run
from benchmarks.report import Figure, report
from benchmarks.story import customers
from features.settings import Home

HOME = Home(Path(".interplay/bench/overload"))
SIMULATION = ("--customers", "600", "--days", "60", "--items", "1000", "--seed", "5")
CHANNELS = ("web", "app", "store")
CALLERS = 64  # of the closed loop that finds the capacity
SECONDS = 8.0
DEADLINE_MS = 100.0
GOALS = {1.0: None, 2.0: 0.8, 3.0: 0.6}  # of the capacity, at so many times the capacity
RECOVERY_S = 5.0
REFUSED, DROPPED = 8, 1  # RESOURCE_EXHAUSTED; CANCELLED, by gRPC itself


def main() -> None:
    """Measures, prints the table, and writes benchmarks/results/overload.json."""
    shutil.rmtree(HOME.path, ignore_errors=True)
    run_program("features", "simulate", *SIMULATION, "--home", HOME.path)
    run_program("training", "train", "--epochs", "1", "--home", HOME.path)
    run_program("features", "materialize", "--home", HOME.path)
    cores = sorted(os.sched_getaffinity(0))
    half = max(1, len(cores) // 2)
    os.sched_setaffinity(0, cores[:half])  # programs that are started stay where they are
    with started(HOME.path, "--processes", str(half)) as server:
        os.sched_setaffinity(0, cores[half:] or cores)
        figures = [*_measure(server)]
    sys.exit(report("overload", figures))


def _measure(server: Server) -> Iterator[Figure]:
    asked = customers(HOME, most=500)
    requests = [
        question(customer, CHANNELS[at % len(CHANNELS)], k=10).SerializeToString()
        for at, customer in enumerate(asked)
    ]
    closed = _drive(server, requests, callers=CALLERS, deadline_ms=10_000)
    capacity = float(closed.achieved_rate)
    yield Figure(f"capacity: closed loop, {CALLERS} callers", capacity, "/s")
    before = percentile(_drive(server, requests, rate=capacity / 2).latencies_ms(), 99)
    yield Figure("0.5x: p99", before, "ms")
    for times, goal in GOALS.items():
        result = _drive(server, requests, rate=times * capacity)
        yield from _good(f"{times:g}x", result, capacity, goal)
    after = _drive(server, requests, rate=capacity / 2, warmup_s=0.0)
    late = after.calls["due_time"] - result.calls["due_time"].max() > RECOVERY_S
    name = f"0.5x right after {times:g}x: p99"
    yield Figure(f"{name} until {RECOVERY_S:g} s have passed", _p99_ms(after, ~late), "ms")
    yield Figure(f"{name} from then on", _p99_ms(after, late), "ms", goal=2 * before)


def _good(name: str, result: LoadResult, capacity: float, goal: float | None) -> Iterator[Figure]:
    calls = result.calls
    good = (calls["code"] == OK) & (result.latencies_ms() <= DEADLINE_MS)
    share = float(np.count_nonzero(good) / SECONDS / capacity)
    yield Figure(f"{name}: good answers / capacity", share, goal=goal, better="higher")
    yield Figure(f"{name}: p99 of the good ones", _p99_ms(result, good), "ms")
    refused = calls["code"] == REFUSED
    yield Figure(f"{name}: refused", 100 * float(np.mean(refused)), "%")
    dropped = calls["code"] == DROPPED
    yield Figure(f"{name}: refused by gRPC itself", 100 * float(np.mean(dropped)), "%")
    other = ~good & ~refused & ~dropped
    yield Figure(f"{name}: neither good nor refused", 100 * float(np.mean(other)), "%")
    took_ms = (calls["end_time"] - calls["sent_time"])[refused] * 1e3
    yield Figure(f"{name}: refused within, p50", percentile(took_ms, 50), "ms")
    yield Figure(f"{name}: refused within, p99", percentile(took_ms, 99), "ms")
    yield Figure(f"{name}: the callers' own lag, p99", percentile(result.lags_ms(), 99), "ms")


def _p99_ms(result: LoadResult, those: np.ndarray) -> float:
    return percentile(result.latencies_ms()[those], 99)


def _drive(
    server: Server,
    requests: Sequence[bytes],
    *,
    callers: int | None = None,
    rate: float | None = None,
    deadline_ms: float = DEADLINE_MS,
    warmup_s: float = 2.0,
) -> LoadResult:
    return run(
        Load(
            target=server.address,
            method=DECIDE,
            requests=requests,
            callers=callers,
            rate=rate,
            seconds=SECONDS,
            warmup_s=warmup_s,
            deadline_ms=deadline_ms,
        )
    )


if __name__ == "__main__":
    main()
