"""Which item followed which: counted once, for a baseline and for the model.

V items      R item rows, V after the special ones      F followers kept of an item
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from features.encoding import FIRST_ITEM_ROW, ItemIndex
from features.record import unpack

if TYPE_CHECKING:  # a model can do without what reads sequences
    from training.data.sequences import Sequences

MOST_FOLLOWERS = 16
PRIOR = 2.0  # steps to nowhere that each item is given: few steps tell little


@dataclass(frozen=True, slots=True)
class Steps:
    """How often one item followed another, sorted by both."""

    code: np.ndarray  # from * V + to
    count: np.ndarray


@dataclass(frozen=True, slots=True)
class Followers:
    """The items that followed each item most often, with their share of all that followed it."""

    row_RF: np.ndarray  # token rows, ascending, so that each is soon found; 0 for none
    share_RF: np.ndarray
    step_R: np.ndarray  # the share that a single step makes


NO_STEPS = Steps(np.zeros(0, np.int64), np.zeros(0, np.int64))


def item_indices(hashes: np.ndarray, items: ItemIndex) -> np.ndarray:
    """Item indices; negative for no item, or one that the index lacks."""
    return items.rows(hashes).astype(np.int64) - FIRST_ITEM_ROW


def add_steps(steps: Steps, sequences: "Sequences", items: ItemIndex) -> Steps:
    """With the steps of these customers from each item to the next."""
    item_N = item_indices(unpack(sequences.records).item, items)
    customer_N = np.repeat(np.arange(len(sequences.sizes)), sequences.sizes)
    named = np.flatnonzero(item_N >= 0)
    start, end = named[:-1], named[1:]
    same = customer_N[start] == customer_N[end]
    code = item_N[start[same]] * len(items.item_ids) + item_N[end[same]]
    codes, place = np.unique(np.concatenate([steps.code, code]), return_inverse=True)
    weights = np.concatenate([steps.count, np.ones(len(code), np.int64)])
    return Steps(codes, np.bincount(place, weights, len(codes)).astype(np.int64))


def most_frequent(steps: Steps, item_count: int, *, most: int = MOST_FOLLOWERS) -> Followers:
    """At most so many followers of each item."""
    start, end = steps.code // item_count, steps.code % item_count
    total_V = np.bincount(start, steps.count, item_count) + PRIOR
    order = np.lexsort((end, -steps.count, start))
    start, end, count = start[order], end[order], steps.count[order]
    place = np.arange(len(start)) - np.searchsorted(start, start)
    kept = place < most
    at = (start[kept] + FIRST_ITEM_ROW, place[kept])
    row_RF = np.zeros((FIRST_ITEM_ROW + item_count, most), np.int32)
    share_RF = np.zeros(row_RF.shape, np.float32)
    row_RF[at] = end[kept] + FIRST_ITEM_ROW
    share_RF[at] = (count / total_V[start])[kept]
    order_RF = np.argsort(row_RF, axis=1)
    ordered = [np.take_along_axis(each, order_RF, 1) for each in (row_RF, share_RF)]
    step_V = (1 / total_V).astype(np.float32)
    return Followers(ordered[0], ordered[1], np.pad(step_V, (FIRST_ITEM_ROW, 0)))
