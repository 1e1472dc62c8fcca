"""The policy: pure functions from the model's scores to the ranked candidates of a decision.

B customers   K ranked   T predicted types   U types and silence   V items   N ranked of all
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np

from features.vocabulary import SILENCE

Intents = tuple[tuple[str, float], ...]
"""Types with their probabilities, most probable first."""
ItemIds = Callable[[Sequence[int]], list[str]]
"""Which items stand at these places of the item axis."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """One item that may be offered."""

    item_id: str
    score: float
    intents: Intents


def intents_of(intent_BU: np.ndarray, types: Sequence[str]) -> list[Intents]:
    """What kind of interaction comes next for each customer, silence included."""
    return _sorted((*types, SILENCE), intent_BU)


def rank(
    item_BK: np.ndarray,
    joint_BKT: np.ndarray,
    *,
    open_BK: np.ndarray,
    k_B: Sequence[int],
    item_ids: ItemIds,
    types: Sequence[str],
) -> list[list[Ranked]]:
    """For each customer the best `k` items that are open to them, in the model's order."""
    kept_BK = open_BK & (np.cumsum(open_BK, axis=1) <= np.array(k_B)[:, None])
    joint_NT = joint_BKT[kept_BK]
    scores, intents = joint_NT.sum(axis=1).tolist(), _sorted(types, joint_NT)
    every = map(Ranked, item_ids(item_BK[kept_BK].tolist()), scores, intents)
    return [list(islice(every, count)) for count in kept_BK.sum(axis=1).tolist()]


def most_popular(
    order: Iterable[int],
    *,
    item_ids: ItemIds,
    eligible_V: np.ndarray,
    excluded: Sequence[int] = (),
    k: int,
) -> list[Ranked]:
    """The first `k` of an order of popularity that are eligible and not excluded; without score.

    Where these are too few, other eligible items follow.
    """
    others = (int(each) for each in np.flatnonzero(eligible_V))
    kept = (each for each in chain(order, others) if eligible_V[each] and each not in excluded)
    best: dict[int, None] = {}
    for each in kept:
        best[each] = None
        if len(best) == k:
            break
    return [Ranked(each, 0.0, ()) for each in item_ids(list(best))]


def _sorted(types: Sequence[str], probability_NT: np.ndarray) -> list[Intents]:
    """Each row as types with their probabilities, most probable first."""
    order_NT = np.argsort(-probability_NT, axis=1, kind="stable")
    sorted_NT = np.take_along_axis(probability_NT, order_NT, 1).tolist()
    names_NT = np.array(types, object)[order_NT].tolist()
    return [tuple(zip(*row, strict=True)) for row in zip(names_NT, sorted_NT, strict=True)]
