"""Whether a history larger than the memory it may use is learnt from: peak memory by its size.

    make bench NAME=streaming
    make bench NAME=streaming ARGS="--times 2"      # a trial: its results are not kept

A simulated history, and one of so many times its customers, each with the same interactions at the
same moments, are trained on by the product's own program path: all of it, one epoch of a small
model. Ray's object store has room for STORE_BYTES, less than the larger history takes when packed,
so that blocks have to wait on disk. Memory is what the processes have for themselves, all together.
"""

import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import click
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.composed import run_program
from benchmarks.report import RESULTS, Figure, report
from features.history.partitions import parts
from features.record import RECORD_BYTES
from features.settings import FeatureSettings, Home
from training.learning import cluster
from training.learning.progress import Progress
from training.preparing import prepared
from training.running import train
from training.settings import TrainingSettings

ROOT = Path(".interplay/bench/streaming")
SIMULATION = ("--customers", "10000", "--days", "90", "--items", "2000", "--seed", "3")
SMALL = TrainingSettings(
    epochs=1, width=16, heads=2, blocks=1, max_length=20, reach=0, examples=2000
)
STORE_BYTES = 80 << 20  # Ray takes no less
TIMES = 8
MOST = 1.5  # times the memory, for so many times the history
EVERY_S = 0.5


@dataclass(slots=True)
class Peak:
    """The most that was seen."""

    private: int = 0  # bytes
    spilled: int = 0


@click.command()
@click.option("--times", default=TIMES, show_default=True, type=click.IntRange(2))
def main(times: int) -> None:
    """Measures, prints the table, and writes benchmarks/results/streaming.json if it is whole."""
    shutil.rmtree(ROOT, ignore_errors=True)
    cluster.OBJECT_STORE_BYTES = STORE_BYTES
    once, often = Home(ROOT / "once"), Home(ROOT / "often")
    run_program("features", "simulate", *SIMULATION, "--home", once.path)
    _repeat(once, often, times)
    figures, peaks = [Figure("Ray's object store", STORE_BYTES / 2**20, "MiB")], []
    for home in (once, often):
        rows, peak = _learn(home)
        peaks.append(peak)
        name = f"{rows:,} interactions"
        figures += [
            Figure(f"{name}: packed", rows * RECORD_BYTES / 2**20, "MiB"),
            Figure(f"{name}: spilled to disk at once", peak.spilled / 2**20, "MiB"),
            Figure(f"{name}: memory of all processes at most", peak.private / 2**20, "MiB"),
        ]
    growth = peaks[1].private / peaks[0].private
    figures.append(Figure(f"memory for {times} times the history", growth, "times", goal=MOST))
    whole = times == TIMES
    sys.exit(report("streaming", figures, results=RESULTS if whole else ROOT / "trials"))


def _repeat(once: Home, often: Home, times: int) -> None:
    """The same world with so many times its customers."""
    shutil.copytree(once.path, often.path, ignore=shutil.ignore_patterns("date=*"))
    for part in parts(once.history):
        rows = pq.read_table(part)
        folder = often.history / part.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(times):
            pq.write_table(_renamed(rows, f"-{number}"), folder / f"{part.stem}-{number}.parquet")


def _renamed(rows: pa.Table, ending: str) -> pa.Table:
    """Of other customers."""
    for name in ("interaction_id", "customer_id", "anonymous_id"):
        at, column = rows.schema.get_field_index(name), rows[name]
        renamed = pc.binary_join_element_wise(column, ending, "")  # a missing one stays missing
        rows = rows.set_column(at, rows.schema.field(at), renamed)
    return rows


def _learn(home: Home) -> tuple[int, Peak]:
    """Trains, judges and publishes; how many interactions there were, and what that took."""

    @contextmanager
    def silently() -> Iterator[object]:
        yield _unheard

    with _watched() as peak, prepared(FeatureSettings(home=home.path), SMALL) as run:
        train(run, silently, print)  # type: ignore[arg-type]
    return run.snapshot.rows, peak


def _unheard(progress: Progress) -> None: ...


@contextmanager
def _watched() -> Iterator[Peak]:
    peak, done = Peak(), threading.Event()

    def watch() -> None:
        while not done.wait(EVERY_S):
            family = [psutil.Process(), *psutil.Process().children(recursive=True)]
            peak.private = max(peak.private, _private(family))
            peak.spilled = max(peak.spilled, _spilled())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def _private(family: Sequence[psutil.Process]) -> int:
    """Bytes that no other process shares: Ray's store, which all of them map, is not among them."""
    found = 0
    for each in family:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            found += each.memory_full_info().uss
    return found


def _spilled() -> int:
    found = 0
    session = Path(tempfile.gettempdir()) / "ray" / "session_latest"
    for each in session.glob("ray_spilled_objects*/*"):
        with suppress(FileNotFoundError):
            found += each.stat().st_size
    return found


if __name__ == "__main__":
    main()
