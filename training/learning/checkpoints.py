"""Checkpoints: all that a killed run needs to end bit for bit as if nothing had happened.

What is drawn at random is drawn by seed, epoch, step and rank, so that no generator has a state.
"""

import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ray.train
import torch
from torch import Tensor

from training.learning.averaging import Average
from training.learning.optimizer import Movers
from training.learning.rows import Rows
from training.learning.seat import Seat
from training.model.model import Model

LATEST, BEST = "latest.pt", "best.pt"


@dataclass(slots=True)
class State:
    """How far a run has come."""

    epoch: int = 0  # epochs done
    step: int = 0  # steps done of the next one
    learnt: float = 0.0  # positions, by all workers
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0])  # of the losses in this epoch
    counts: list[float] = field(default_factory=lambda: [0.0, 0.0])
    history: list[dict[str, float]] = field(default_factory=list)  # metrics of each epoch

    @property
    def best_epoch(self) -> int:
        """The number of the epoch with the least validation loss, from 1; 0 before there is one."""
        losses = [epoch["validation_loss"] for epoch in self.history]
        return losses.index(min(losses)) + 1 if losses else 0

    def is_enough(self, epochs: int, patience: int) -> bool:
        """Whether all epochs are over, or the last ones brought nothing."""
        return self.epoch >= epochs or self.epoch - self.best_epoch >= patience > 0


@dataclass(slots=True)
class Learning:
    """All that moves while a worker learns."""

    model: Model
    movers: Movers
    rows: Rows | None  # of a large catalog
    average: Average | None
    folder: Path  # where the best parameters so far lie, if this worker keeps them
    state: State = field(default_factory=State)


def parameters_of(model: Model) -> dict[str, Tensor]:
    """What has been learnt; a model's buffers follow from its plan."""
    return {name: each.detach() for name, each in model.named_parameters()}


def put_parameters(model: Model, parameters: dict[str, Tensor]) -> None:
    """The reverse."""
    model.load_state_dict(dict(model.named_buffers()) | parameters)


def keep_best(learning: Learning) -> None:
    """Notes the parameters, if no epoch before was better than the last one."""
    if learning.state.best_epoch == learning.state.epoch:
        torch.save(parameters_of(learning.model), learning.folder / BEST)


def save(learning: Learning, seat: Seat, metrics: dict[str, float]) -> None:
    """Reports metrics to Ray Train, all workers together; the first adds the checkpoint.

    Waits until Ray knows of it: a worker killed right after begins here, not before.
    """
    sums = seat.total(torch.tensor(learning.state.sums, dtype=torch.float64))
    learning.state.sums = sums.tolist() if seat.rank == 0 else [0.0, 0.0]
    with TemporaryDirectory() as name:
        folder, checkpoint = Path(name), None
        if seat.rank == 0:
            torch.save(_content(learning), folder / LATEST)
            if learning.state.history:
                _link(learning.folder / BEST, folder / BEST)
            checkpoint = ray.train.Checkpoint.from_directory(folder)
        ray.train.report(metrics, checkpoint=checkpoint)
        ray.train.get_all_reported_checkpoints(ray.train.CheckpointConsistencyMode.COMMITTED)


def _content(learning: Learning) -> dict[str, Any]:
    return {
        "parameters": parameters_of(learning.model),
        "movers": learning.movers.state_dict(),
        "rows": learning.rows.state if learning.rows else {},
        "average": learning.average.state() if learning.average else {},
        "state": asdict(learning.state),
    }


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # not every file system can
        shutil.copyfile(source, target)


def restore(learning: Learning, seat: Seat) -> None:
    """Goes on where a killed worker, or a killed run, left off; else begins."""
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return
    with checkpoint.as_directory() as folder:
        content = _load(Path(folder) / LATEST)
        if (Path(folder) / BEST).exists():
            shutil.copyfile(Path(folder) / BEST, learning.folder / BEST)
    put_parameters(learning.model, content["parameters"])
    learning.movers.load_state_dict(content["movers"])
    if learning.rows:
        for name, each in learning.rows.state.items():
            each.copy_(content["rows"][name])
    if learning.average:
        learning.average.restore(content["average"])
    learning.state = State(**content["state"])
    if seat.rank != 0:
        learning.state.sums = [0.0, 0.0]


def best_of(checkpoint: ray.train.Checkpoint) -> dict[str, Tensor]:
    """The parameters of the best epoch."""
    with checkpoint.as_directory() as folder:
        return _load(Path(folder) / BEST)


def history_of(checkpoint: ray.train.Checkpoint) -> list[dict[str, float]]:
    """The metrics of the epochs before it."""
    with checkpoint.as_directory() as folder:
        history: list[dict[str, float]] = _load(Path(folder) / LATEST)["state"]["history"]
    return history


def _load(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    return content
