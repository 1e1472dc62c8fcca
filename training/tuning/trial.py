"""One trial: a training with the settings that were drawn; Ray Tune hears of every epoch."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa
import ray
import ray.train
import ray.tune

from training.learning.checkpoints import history_of
from training.learning.cluster import host, trainer_of
from training.learning.plan import Plan
from training.learning.progress import Progress, listening
from training.settings import TrainingError, TrainingSettings

EPOCH, LOSS, LOSSES = "epoch", "validation_loss", "losses"  # what Ray Tune is told
HEADS = ("intent", "item")
DIGITS = 3  # of drawn numbers: more would only look like knowledge


@dataclass(frozen=True, slots=True)
class Bench:
    """What all trials of a search share."""

    plan: Plan
    blocks: Sequence["ray.ObjectRef[pa.Table]"]
    storage: Path  # of their checkpoints
    threads: int  # of each trial


class Telling:
    """Tells Ray Tune of a trial's epochs, each once, whoever knows of it first."""

    def __init__(self) -> None:
        """Nothing has been told."""
        self._losses: list[float] = []
        self._lock = Lock()

    def tell(self, history: Sequence[Mapping[str, float]]) -> None:
        """Tells what is new in the metrics of all epochs so far."""
        with self._lock:
            for metrics in history[len(self._losses) :]:
                self._tell(metrics)

    def hear(self, progress: Progress) -> None:
        """Tells of an epoch that has ended just now."""
        with self._lock:
            if progress.metrics and progress.epoch == len(self._losses) + 1:
                self._tell(progress.metrics)

    def _tell(self, metrics: Mapping[str, float]) -> None:
        """Waits until Ray Tune has decided; a trial that it has given up ends here."""
        self._losses.append(metrics[LOSS])
        ray.tune.report({**metrics, EPOCH: len(self._losses), LOSSES: list(self._losses)})


def try_out(drawn: dict[str, Any], *, bench: Bench) -> None:
    """Trains with the drawn settings; a trial that was cut off goes on."""
    name = name_of(ray.tune.get_context().get_trial_id())
    plan = dataclasses.replace(bench.plan, settings=settings_of(bench.plan.settings, drawn))
    telling = Telling()
    telling.tell(_told_before(bench.storage / name))
    with listening(host(), telling.hear) as address:
        trainer = trainer_of(
            plan,
            bench.blocks,
            storage=bench.storage,
            name=name,
            progress=address,
            threads=bench.threads,
        )
        history: list[dict[str, float]] = trainer.fit().return_value  # type: ignore[attr-defined]
    _check_validated(history)
    telling.tell(history)


def name_of(trial_id: str) -> str:
    """What a trial is called: its number, from 1; the same number has the same settings."""
    return f"trial-{number_of(trial_id)}"


def number_of(trial_id: str) -> int:
    """Ray Tune counts its trials from 0, behind a prefix that is drawn at random."""
    return int(trial_id.rpartition("_")[2]) + 1


def settings_of(base: TrainingSettings, drawn: Mapping[str, Any]) -> TrainingSettings:
    """The settings that a trial trains with, such as can be given as flags."""
    return dataclasses.replace(base, **{name: rounded(value) for name, value in drawn.items()})


def rounded(value: Any) -> Any:
    """A number of few digits."""
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else int(value)


def _told_before(folder: Path) -> list[dict[str, float]]:
    """The epochs of a trial that was cut off, as its last checkpoint knows them."""
    try:
        checkpoint = ray.train.Result.from_path(str(folder)).checkpoint
    except RuntimeError:  # there is none
        return []
    return history_of(checkpoint) if checkpoint else []


def _check_validated(history: Sequence[Mapping[str, float]]) -> None:
    """Without anything to validate on the loop gives the training loss in its place."""
    for metrics in history:
        if all(metrics[f"validation_{each}"] == metrics[f"training_{each}"] for each in HEADS):
            raise TrainingError("there is nothing to validate on: the history is too short")
