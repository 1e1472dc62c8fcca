"""A training run measured: the product's own loop under Ray, and the time that it takes."""

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import ray.data

from training.data.sequences import in_order
from training.export.ranker import Ranker
from training.learning.checkpoints import best_of, put_parameters
from training.learning.cluster import fit
from training.learning.plan import Plan, new_model
from training.learning.progress import Progress, listening

HERE = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Moment:
    """How far a run had come, and what it had taken by then."""

    progress: Progress
    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Fit:
    """What came of a run."""

    ranker: Ranker
    samples: float  # positions learnt between the first step and the last
    wall_s: float
    cpu_s: float  # of all processes
    loss: float  # of the items, over the last epoch

    @property
    def rate(self) -> float:
        """Samples a second."""
        return self.samples / self.wall_s

    @property
    def cpu_rate(self) -> float:
        """Samples a second of one core."""
        return self.samples / self.cpu_s


def fitted(plan: Plan, dataset: ray.data.Dataset) -> Fit:
    """Learns as a plan says; within training.learning.cluster.cluster()."""
    moments: list[Moment] = []

    def note(progress: Progress) -> None:
        moments.append(Moment(progress, time.perf_counter(), _cpu_s()))
        if progress.metrics:
            print(f"  epoch {progress.epoch}: {progress.metrics['training_item']:.4f}", flush=True)

    with TemporaryDirectory(prefix="interplay-") as folder, listening(HERE, note) as address:
        held = in_order(dataset)
        result = fit(plan, held, storage=Path(folder), name="benchmark", progress=address)
        if result.checkpoint is None:
            raise SystemExit(f"the run left no checkpoint: {result.error}")
        model = new_model(plan)
        put_parameters(model, best_of(result.checkpoint))
    first, last = moments[0], moments[-1]
    share = last.progress.done - first.progress.done
    return Fit(
        Ranker(model),
        samples=share * plan.settings.epochs * plan.learnt_count,
        wall_s=last.wall_s - first.wall_s,
        cpu_s=last.cpu_s - first.cpu_s,
        loss=last.progress.metrics["training_item"],
    )


def _cpu_s() -> float:
    """What this process and all that it has started have used so far; Ray's own work counts."""
    here = psutil.Process()
    return sum(_used_s(each) for each in (here, *here.children(recursive=True)))


def _used_s(process: psutil.Process) -> float:
    try:
        return sum(process.cpu_times()[:4])  # with children that have ended
    except psutil.Error:  # it has just ended, and counts with its parent
        return 0.0
