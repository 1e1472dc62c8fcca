"""The soak: half an hour at half of the capacity; whether memory and descriptors stay as they are.

make bench NAME=soak        # ARGS="--minutes 2" for a trial

Decisions and recordings side by side, from callers that never stop. The slope of the memory is that
of a straight line through all samples after the warm-up, by least squares, in percent an hour.
Memory is what was allocated, not what of libraries and files is in memory too.
"""

import shutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from benchmarks.composed import Server, run_program, started
from benchmarks.frontend import DECIDE, RECORD, question
from benchmarks.load import Load, LoadResult, percentile, run
from benchmarks.report import Figure, report
from benchmarks.story import customers
from features.settings import Home

HOME = Home(Path(".interplay/bench/soak"))
SIMULATION = ("--customers", "600", "--days", "60", "--items", "1000", "--seed", "5")
CHANNELS = ("web", "app", "store")
CALLERS, CAPACITY_S = 64, 8.0
SHARE, RECORDED = 0.5, 0.05  # of the capacity: all calls, and those of them that record
SAMPLES = 360  # of memory and descriptors, over the whole time
POINTS = 30  # of its course that the results tell
WARMUP = 0.2  # share of the time that does not count: caches fill, allocators find their size


@dataclass(frozen=True, slots=True)
class Sample:
    """What the server held at a moment."""

    time_s: float
    memory_bytes: int
    descriptors: int


@click.command()
@click.option("--minutes", default=30.0, show_default=True, help="how long")
def main(minutes: float) -> None:
    """Measures, prints the table, and writes benchmarks/results/soak.json."""
    shutil.rmtree(HOME.path, ignore_errors=True)
    run_program("features", "simulate", *SIMULATION, "--home", HOME.path)
    run_program("training", "train", "--epochs", "1", "--home", HOME.path)
    run_program("features", "materialize", "--home", HOME.path)
    with started(HOME.path) as server:
        samples: list[Sample] = []
        figures = [*_measure(server, 60 * minutes, samples)]
    sys.exit(report("soak", figures, details=[*_course(samples)]))


def _measure(server: Server, seconds: float, samples: list[Sample]) -> Iterator[Figure]:
    requests = [
        question(customer, CHANNELS[at % len(CHANNELS)], k=10).SerializeToString()
        for at, customer in enumerate(customers(HOME, most=500))
    ]
    closed = _load(server, DECIDE, requests, seconds=CAPACITY_S, callers=CALLERS)
    capacity = run(closed).achieved_rate
    yield Figure("capacity: closed loop", capacity, "/s")
    ended = threading.Event()
    with ThreadPoolExecutor(3) as threads:
        watching = threads.submit(_watch, server, seconds / SAMPLES, ended, samples)
        singles = "benchmarks.recording:singles"
        recording, deciding = (
            threads.submit(run, _load(server, method, given, seconds=seconds, rate=rate))
            for method, given, rate in (
                (RECORD, singles, SHARE * RECORDED * capacity),
                (DECIDE, requests, SHARE * (1 - RECORDED) * capacity),
            )
        )
        results = [recording.result(), deciding.result()]
        ended.set()
        watching.result()
    yield from _calls(results)
    yield from _held(samples)


def _load(
    server: Server,
    method: str,
    requests: Sequence[bytes] | str,
    *,
    seconds: float,
    rate: float | None = None,
    callers: int | None = None,
) -> Load:
    return Load(
        target=server.address,
        method=method,
        requests=requests,
        rate=rate,
        callers=callers,
        seconds=seconds,
        exact=False,
    )


def _watch(server: Server, every_s: float, ended: threading.Event, samples: list[Sample]) -> None:
    """Until told; what all processes of the server hold together."""
    while not ended.wait(every_s):
        open_files = sum(each.num_fds() for each in server.processes())
        samples.append(Sample(time.monotonic(), server.allocated_bytes(), open_files))


def _calls(results: Sequence[LoadResult]) -> Iterator[Figure]:
    for name, result in zip(("recorded", "decided"), results, strict=True):
        yield Figure(f"{name}: calls", len(result.calls))
        yield Figure(f"{name}: failed", int((result.calls["code"] != 0).sum()), goal=0)
        yield Figure(f"{name}: p99", percentile(result.latencies_ms(), 99), "ms")


def _held(samples: Sequence[Sample]) -> Iterator[Figure]:
    counted = samples[int(WARMUP * len(samples)) :]
    time_N = np.array([each.time_s for each in counted])
    memory_N = np.array([each.memory_bytes for each in counted])
    open_N = np.array([each.descriptors for each in counted])
    yield Figure("samples", len(counted))
    yield Figure("memory", float(memory_N.mean()) / 2**20, "MiB")
    yield Figure("memory: slope", _percent_an_hour(time_N, memory_N), "%/h", goal=1.0)
    yield Figure("descriptors", float(open_N.mean()))
    yield Figure("descriptors: slope", _percent_an_hour(time_N, open_N), "%/h", goal=1.0)


def _course(samples: Sequence[Sample]) -> Iterator[Figure]:
    for each in samples[:: max(1, len(samples) // POINTS)]:
        minute = (each.time_s - samples[0].time_s) / 60
        yield Figure(f"memory after {minute:.1f} min", each.memory_bytes / 2**20, "MiB")


def _percent_an_hour(time_N: np.ndarray, value_N: np.ndarray) -> float:
    slope = float(np.polyfit(time_N, value_N, 1)[0])
    return 100 * 3600 * slope / float(value_N.mean())


if __name__ == "__main__":
    main()
