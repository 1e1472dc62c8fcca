"""The policy: pure functions from the model's scores to the ranked candidates of a decision.

B customers   K ranked   T predicted types   U types and silence   V items   N ranked of all
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np

from serving.model.scorer import Scores

ItemIds = Callable[[Sequence[int]], list[str]]
"""Which items stand at these places of the item axis."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """One item that may be offered."""

    item_id: str
    score: float
    intents: bytes  # see serving.wire


@dataclass(frozen=True, slots=True)
class Best:
    """The best items of each customer one after the other, and what the model says of them."""

    count_B: Sequence[int]
    item_ids: Sequence[str]  # N
    joint_NT: np.ndarray
    intent_BU: np.ndarray


def best(scores: Scores, *, open_BK: np.ndarray, k_B: Sequence[int], item_ids: ItemIds) -> Best:
    """For each customer the best `k` items that are open to them, in the model's order."""
    kept_BK = open_BK & (np.cumsum(open_BK, axis=1) <= np.array(k_B)[:, None])
    return Best(
        kept_BK.sum(axis=1).tolist(),
        item_ids(scores.item_BK[kept_BK].tolist()),
        scores.joint_BKT[kept_BK],
        scores.intent_BU,
    )


def rank(best: Best, intents_N: Sequence[bytes]) -> list[list[Ranked]]:
    """The items of each customer with their scores, and the types that come next with them."""
    scores = best.joint_NT.sum(axis=1).tolist()
    every = map(Ranked, best.item_ids, scores, intents_N)
    return [list(islice(every, count)) for count in best.count_B]


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
    return [Ranked(each, 0.0, b"") for each in item_ids(list(best))]
