"""What callers notice of a new champion: failed calls, and p99 while it is taken into use.

make bench NAME=swap        # ARGS="--data ../shared/data/tmall" for real histories

The alias moves back and forth between two versions under a steady open loop at half of what the
server can do. A swap lasts from the moment the alias moves until the server says what serves.
"""

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import grpc
import numpy as np
from interplay.v1.model_service_pb2 import GetModelRequest
from interplay.v1.model_service_pb2_grpc import ModelServiceStub

from benchmarks.composed import run_program, serving
from benchmarks.frontend import DECIDE, question
from benchmarks.load import OK, Load, LoadResult, percentile, run
from benchmarks.report import Figure, report
from benchmarks.story import customers
from features.settings import Home
from training.publishing import Publisher

HOME = Home(Path(".interplay/bench/swap"))
SIMULATION = ("--customers", "2000", "--days", "60", "--items", "10000", "--seed", "9")
REFRESH_S = 0.2
SWAPS = 6
APART_S = 4.0  # from one swap to the next
CALLERS = 64  # of the closed loop that finds the capacity

Window = tuple[float, float]


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="else simulated")
@click.option("--processes", default=1, show_default=True, help="of the server")
def main(data: Path | None, processes: int) -> None:
    """Measures, prints the table, and writes benchmarks/results/swap.json."""
    shutil.rmtree(HOME.path, ignore_errors=True)
    filling = ("simulate", *SIMULATION) if data is None else ("import", str(data))
    run_program("features", *filling, "--home", HOME.path)
    run_program("training", "train", "--home", HOME.path, "--epochs", "1")
    run_program("features", "materialize", "--home", HOME.path)
    settings = ("--refresh-s", str(REFRESH_S), "--processes", str(processes))
    with serving(HOME.path, *settings) as address:
        sys.exit(report("swap", [*_measure(address)]))


def _measure(address: str) -> Iterator[Figure]:
    asked = customers(HOME, most=500)
    requests = [question(each, "web", k=10).SerializeToString() for each in asked]
    closed = Load(target=address, method=DECIDE, requests=requests, callers=CALLERS, seconds=5)
    capacity = run(closed).achieved_rate
    yield Figure("capacity: closed loop", capacity, "/s")
    with ThreadPoolExecutor(1) as thread:
        swaps = thread.submit(_swap, address, _versions())
        result = _steady(address, requests, capacity / 2)
        windows = swaps.result()
    due = result.calls["due_time"]
    swapping = np.any([(due >= begin) & (due <= end) for begin, end in windows], axis=0)
    yield from _figures(result, windows, swapping)


def _versions() -> tuple[str, str]:
    """The champion, and the same model once more as another version."""
    publisher = Publisher(HOME)
    champion = publisher.champion()
    assert champion is not None  # one was trained
    other = publisher.publish(champion.directory, params={}, epochs=[], metrics={})
    return champion.version, other


def _steady(address: str, requests: Sequence[bytes], rate: float) -> LoadResult:
    seconds = (SWAPS + 1) * APART_S
    return run(Load(target=address, method=DECIDE, requests=requests, rate=rate, seconds=seconds))


def _swap(address: str, versions: tuple[str, str]) -> list[Window]:
    """Moves the alias now and then; gives from when to when that kept the server busy."""
    publisher, windows = Publisher(HOME), []
    with grpc.insecure_channel(address) as channel:
        for number in range(SWAPS):
            time.sleep(APART_S)
            version, begin = versions[(number + 1) % 2], time.monotonic()
            publisher.crown(version)
            _await(ModelServiceStub(channel), version)
            windows.append((begin, time.monotonic()))
    return windows


def _await(models: ModelServiceStub, version: str) -> None:
    while models.GetModel(GetModelRequest()).model.version != version:
        time.sleep(0.02)


def _figures(
    result: LoadResult, windows: Sequence[Window], swapping: np.ndarray
) -> Iterator[Figure]:
    latency_ms, failed = result.latencies_ms(), int((result.calls["code"] != OK).sum())
    yield Figure("offered in an open loop", len(latency_ms) / _seconds(result), "/s")
    yield Figure("swaps", len(windows))
    longest_s = max(end - begin for begin, end in windows)
    yield Figure("from the alias to serving, at most", longest_s, "s")
    yield Figure("calls during the swaps", int(swapping.sum()))
    yield Figure("failed calls, of all", failed, goal=0)
    for q in (50, 99):
        before, during = (percentile(latency_ms[which], q) for which in (~swapping, swapping))
        yield Figure(f"p{q} between the swaps", before, "ms")
        yield Figure(f"p{q} during the swaps", during, "ms")
        goal = 2.0 if q == 99 else None
        yield Figure(f"p{q} during / between", during / before, goal=goal)
    yield Figure("longest during the swaps", latency_ms[swapping].max(initial=0.0), "ms")


def _seconds(result: LoadResult) -> float:
    seconds = result.load.seconds
    assert seconds is not None  # an open loop lasts for seconds
    return seconds


if __name__ == "__main__":
    main()
