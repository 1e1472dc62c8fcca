"""A warm start: a champion's weights, fitted to the items of today, and what is new since then.

P positions   D1 = D + 1: width, and a bias
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import torch

from features.artefact import load_content, load_items, read_contract
from features.record import tick
from training.data.questions import NONE, Questions
from training.data.sequences import Sequences
from training.data.split import Split
from training.model.model import Model

WEIGHTS = "weights.npz"  # no pickle: nothing in it can run
WEIGHTS_DIGEST = "weights"  # in the lineage of the artefact, which may be signed: their sha256
OWN, BIAS = "items.own.weight", "items.bias_V"
REPLAYED = 0.1  # share of the customers of whom all is learnt again: what is old is not forgotten
EPOCHS = 1
SLOWER = 0.25  # share of the learning rate: the weights are near already


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where training begins, if not from nothing."""

    version: str  # whose weights these are
    item_ids: tuple[str, ...]  # in the order of its rows
    buckets: int  # of its table of content features
    weights: Mapping[str, np.ndarray]
    cold_D1: np.ndarray  # of an item that is new: vector, then bias
    learnt: Split  # how far it has learnt

    def grown(self, item_count: int) -> "Start":
        """With rows for items that are new: what those have that were seldom seen."""
        fresh = item_count - len(self.item_ids)
        weights = dict(self.weights)
        weights[OWN] = _longer(weights[OWN], self.cold_D1[:-1], fresh)
        weights[BIAS] = _longer(weights[BIAS], self.cold_D1[-1], fresh)
        return replace(self, weights=weights)

    def fill(self, model: Model) -> None:
        """Gives these weights to a model that they fit."""
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(torch.from_numpy(self.weights[name]))

    def misfits(self, model: Model) -> list[str]:
        """The parameters by which a model differs from the one that these weights are of."""
        shapes = {name: tuple(each.shape) for name, each in model.named_parameters()}
        held = {name: each.shape for name, each in self.weights.items()}
        return sorted(name for name in shapes | held if shapes.get(name) != held.get(name))


def keep_weights(model: Model, folder: Path) -> None:
    """Writes what a later training may begin with."""
    weights = {name: each.detach().cpu().numpy() for name, each in model.named_parameters()}
    np.savez(folder / WEIGHTS, **weights)  # type: ignore[arg-type]  # its flag is named otherwise


def start_from(version: str, directory: Path, kept: Path) -> Start:
    """The start from a version: its artefact, and what was kept beside it."""
    with np.load(kept / WEIGHTS, allow_pickle=False) as file:
        weights = {name: file[name] for name in file.files}
    content, lineage = load_content(directory), read_contract(directory).lineage
    return Start(
        version=version,
        item_ids=load_items(directory).item_ids,
        buckets=len(content.table_GD),
        weights=weights,
        cold_D1=content.cold_D1,
        learnt=Split(
            validation_tick=_tick(lineage["validation_time"]),
            test_tick=_tick(lineage["test_time"]),
            end_tick=_tick(lineage["newest_time"]) + 1,
        ),
    )


def _longer(rows: np.ndarray, cold: np.ndarray, count: int) -> np.ndarray:
    return np.concatenate([rows, np.repeat(cold[None].astype(rows.dtype), count, axis=0)])


def _tick(time: str) -> int:
    return tick(datetime.fromisoformat(time))


def only_new(
    questions: Questions,
    sequences: Sequences,
    learnt: Split,
    *,
    horizon_ticks: int,
    rng: np.random.Generator,
) -> Questions:
    """The questions whose answers were not known yet, and all of some customers drawn anew.

    Whether silence follows is known a horizon later: so much before the end counts as new.
    """
    since = np.array([learnt.learn_until(each) for each in sequences.customers]) - horizon_ticks
    since = np.where(rng.random(len(since)) < REPLAYED, 0, since)
    new_P = questions.tick_P >= np.repeat(since, sequences.sizes + 1)
    return replace(questions, type_P=np.where(new_P, questions.type_P, NONE))
