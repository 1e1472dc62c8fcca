"""What callers notice of a new champion: failed calls, and p99 while it is taken into use.

make bench NAME=swap        # ARGS="--data ../shared/data/tmall" for real histories

The alias moves back and forth between two versions under a steady open loop at half of what the
server can do. A swap lasts from when the alias has moved until every connection of the watch is
answered by the other version. What moving the alias itself takes (of the cores, on this machine;
it is the training's) counts neither as during nor as between.
"""

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click
import grpc
import numpy as np
from interplay.v1.personalization_service_pb2_grpc import PersonalizationServiceStub

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
SWAPS = 12
APART_S = 3.0  # from one swap to the next
CALLERS = 64  # of the closed loop that finds the capacity
WATCH_S = 0.02  # from one question of the watch to the next
WATCHES = 4  # connections of it for each of several processes: each process has one, most likely

APART = [("grpc.use_local_subchannel_pool", 1)]  # each channel has a connection of its own


@dataclass(frozen=True, slots=True)
class Swap:
    """When the alias began to move, had moved, and the other version answered everywhere."""

    begin_time: float
    moved_time: float
    end_time: float


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
        watches = 1 if processes == 1 else WATCHES * processes
        sys.exit(report("swap", [*_measure(address, watches=watches)]))


def _measure(address: str, *, watches: int) -> Iterator[Figure]:
    asked = customers(HOME, most=500)
    requests = [question(each, "web", k=10).SerializeToString() for each in asked]
    closed = Load(target=address, method=DECIDE, requests=requests, callers=CALLERS, seconds=5)
    capacity = run(closed).achieved_rate
    yield Figure("capacity: closed loop", capacity, "/s")
    versions = _versions()
    with ThreadPoolExecutor(1) as thread:
        swapping = thread.submit(_swap, address, versions, asked[0], watches=watches)
        result = _steady(address, requests, capacity / 2)
        swaps = swapping.result()
    yield from _figures(result, swaps)


def _versions() -> tuple[str, str]:
    """The champion, and the same model once more as another version."""
    publisher = Publisher(HOME)
    champion = publisher.champion()
    assert champion is not None  # one was trained
    run_id, kept = publisher.begin("swap", {}), publisher.kept(champion.version)
    other = publisher.publish(run_id, champion.directory, kept, {})
    publisher.end(run_id)
    return champion.version, other


def _steady(address: str, requests: Sequence[bytes], rate: float) -> LoadResult:
    seconds = (SWAPS + 1) * APART_S
    return run(Load(target=address, method=DECIDE, requests=requests, rate=rate, seconds=seconds))


def _swap(address: str, versions: tuple[str, str], customer: str, *, watches: int) -> list[Swap]:
    """Moves the alias now and then."""
    publisher, swaps = Publisher(HOME), []
    publisher.crown(versions[0])  # which it is: the first time takes longer
    with ExitStack() as stack:
        channels = [grpc.insecure_channel(address, APART) for _ in range(watches)]
        stubs = [PersonalizationServiceStub(stack.enter_context(each)) for each in channels]
        for number in range(SWAPS):
            time.sleep(APART_S)
            version, begin_time = versions[(number + 1) % 2], time.monotonic()
            publisher.crown(version)
            moved_time = time.monotonic()
            for stub in stubs:
                _await(stub, customer, version)
            swaps.append(Swap(begin_time, moved_time, time.monotonic()))
    return swaps


def _await(stub: PersonalizationServiceStub, customer: str, version: str) -> None:
    """Asks until the version answers. Decisions, as they cost less than to ask for the model."""
    asked = question(customer, "watch", k=1)
    while True:
        try:
            if stub.DecideInteraction(asked).model_version == version:
                return
        except grpc.RpcError as error:  # is not one of the calls that are counted
            print(f"the watch was not answered: {error.code()}", file=sys.stderr)
        time.sleep(WATCH_S)


def _figures(result: LoadResult, swaps: Sequence[Swap]) -> Iterator[Figure]:
    due, latency_ms = result.calls["due_time"], result.latencies_ms()
    during = _within(due, [(each.moved_time, each.end_time) for each in swaps])
    between = ~_within(due, [(each.begin_time, each.end_time) for each in swaps])
    failed = int((result.calls["code"] != OK).sum())
    yield Figure("offered in an open loop", len(latency_ms) / _seconds(result), "/s")
    yield Figure("swaps", len(swaps))
    took_s = [each.end_time - each.moved_time for each in swaps]
    yield Figure("from the alias to serving, median", float(np.median(took_s)), "s")
    yield Figure("from the alias to serving, at most", max(took_s), "s")
    yield Figure("calls during the swaps", int(during.sum()))
    yield Figure("failed calls, of all", failed, goal=0)
    for q in (50, 90, 99):
        usual, swapping = (percentile(latency_ms[which], q) for which in (between, during))
        yield Figure(f"p{q} between the swaps", usual, "ms")
        yield Figure(f"p{q} during the swaps", swapping, "ms")
        yield Figure(f"p{q} during / between", swapping / usual, goal=2.0 if q == 99 else None)
    yield Figure("longest between the swaps", latency_ms[between].max(initial=0.0), "ms")
    yield Figure("longest during the swaps", latency_ms[during].max(initial=0.0), "ms")
    lag_ms = percentile(result.lags_ms()[during], 99)
    yield Figure("p99 of the callers' own lag during the swaps", lag_ms, "ms")


def _within(times: np.ndarray, windows: Sequence[tuple[float, float]]) -> np.ndarray:
    within: np.ndarray = np.any([(times >= begin) & (times <= end) for begin, end in windows], 0)
    return within


def _seconds(result: LoadResult) -> float:
    seconds = result.load.seconds
    assert seconds is not None  # an open loop lasts for seconds
    return seconds


if __name__ == "__main__":
    main()
