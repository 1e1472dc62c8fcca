"""What a warm retraining on one more day costs, and loses, against a full one.

make bench NAME=retraining        # ARGS="--data ../shared/data/tmall --days 1"

A full training on all but the newest days makes a champion. Then these days come, and two models
are trained on all of it: one in full, one from the champion's weights. Both are judged on the same
newest part of the history.
"""

import dataclasses
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import psutil

from benchmarks.composed import run_program
from benchmarks.report import Figure, report
from features.settings import FeatureSettings, Home
from training.comparison import compare
from training.learning.progress import Progress
from training.preparing import prepared
from training.publishing import Publisher
from training.running import train
from training.settings import TrainingSettings

ROOT = Path(".interplay/bench/retraining")
SIMULATION = ("--customers", "4000", "--days", "90", "--items", "5000", "--seed", "9")
WORKER = "RayTrainWorker"  # what Ray calls the processes that learn
CHEAP = 0.15  # of a full training


@dataclass(slots=True)
class Cost:
    """What a training took."""

    positions: float = 0.0  # learnt from, those of several epochs counted as often
    begun_s: float = 0.0  # CPU time of the processes that learn, at their first step
    ended_s: float = 0.0  # and after the last epoch
    version: str = ""

    @property
    def learning_s(self) -> float:
        """CPU time of learning; to start Python and Torch takes the same however much is learnt."""
        return self.ended_s - self.begun_s


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="else simulated")
@click.option("--days", default=1, show_default=True, help="that come after the first training")
@click.option("--epochs", default=TrainingSettings().epochs, show_default=True)
def main(data: Path | None, days: int, epochs: int) -> None:
    """Measures, prints the table, and writes benchmarks/results/retraining.json."""
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    shutil.rmtree(ROOT, ignore_errors=True)
    home, later = Home(ROOT / "home"), ROOT / "later"
    filling = ("simulate", *SIMULATION) if data is None else ("import", str(data))
    run_program("features", *filling, "--home", home.path)
    _move(home, later, days)
    settings = TrainingSettings(epochs=epochs)
    first = _train(home, settings)
    for day in later.iterdir():
        shutil.move(day, home.history / day.name)
    full = _train(home, settings)
    _reign(home, first.version)
    warm = _train(home, dataclasses.replace(settings, warm_start=True))
    sys.exit(report("retraining", [*_figures(home, settings, first, full, warm)]))


def _move(home: Home, later: Path, days: int) -> None:
    """Takes the newest days out of the history."""
    later.mkdir(parents=True)
    for day in sorted(home.history.glob("date=*"))[-days:]:
        shutil.move(day, later / day.name)


def _reign(home: Home, version: str) -> None:
    publisher = Publisher(home)
    champion = publisher.champion()
    if champion is None or champion.version != version:
        publisher.retreat(version)


def _train(home: Home, settings: TrainingSettings) -> Cost:
    cost = Cost()

    def note(progress: Progress) -> None:
        """As learning begins, and as each epoch ends."""
        cost.begun_s = cost.begun_s or _cpu_s()
        if progress.metrics:
            cost.positions = max(cost.positions, progress.done)
            cost.ended_s = _cpu_s()

    @contextmanager
    def showing() -> Iterator[object]:
        yield note

    with prepared(FeatureSettings(home=home.path), settings) as run:
        cost.version = train(run, showing, print).version  # type: ignore[arg-type]
        cost.positions *= run.plan.learnt_count * run.plan.settings.epochs
    return cost


def _cpu_s() -> float:
    """What the processes that learn have used of the cores."""
    times = [
        each.cpu_times()
        for each in psutil.Process().children(recursive=True)
        if WORKER in " ".join(each.cmdline())
    ]
    return sum(each.user + each.system for each in times)


def _figures(
    home: Home, settings: TrainingSettings, first: Cost, full: Cost, warm: Cost
) -> Iterator[Figure]:
    yield Figure("positions learnt: full", full.positions)
    yield Figure("positions learnt: warm", warm.positions)
    yield Figure("positions: warm / full", warm.positions / full.positions, goal=CHEAP)
    yield Figure("CPU time of learning: full", full.learning_s, "s")
    yield Figure("CPU time of learning: warm", warm.learning_s, "s")
    yield Figure("CPU time: warm / full", warm.learning_s / full.learning_s, goal=CHEAP)
    with prepared(FeatureSettings(home=home.path), settings) as run:
        against_full = compare(run, full.version, warm.version).measures[0]
        against_first = compare(run, first.version, warm.version).measures[0]
    yield Figure("NDCG@10: full", against_full.values[0])
    yield Figure("NDCG@10: warm", against_full.values[1])
    gain = against_full.gain
    yield Figure("NDCG@10: warm - full, lower bound", gain.low)
    yield Figure("NDCG@10: warm - full", gain.mean)
    yield Figure("NDCG@10: warm - full, upper bound", gain.high, goal=0.0, better="higher")
    yield Figure("NDCG@10: warm - champion, lower bound", against_first.gain.low)
    yield Figure("NDCG@10: warm - champion", against_first.gain.mean)


if __name__ == "__main__":
    main()
