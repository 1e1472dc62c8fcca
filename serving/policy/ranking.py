"""Ranking: from the model's scores to the candidates of a decision, and those that are offered.

B customers   K ranked   T predicted types   U types and silence   V items
N candidates of all customers, one customer after the other   M offered of them
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, islice, pairwise, repeat
from typing import NamedTuple

import numpy as np

from features.policy.arbitration import Offers
from features.policy.favours import NO_FAVOURS, NOT_PINNED, Favours
from features.policy.worth import Expected
from serving.model.scorer import Scores

ItemIds = Callable[[Sequence[int]], list[str]]
"""Which items stand at these places of the item axis."""


class Ranked(NamedTuple):
    """One item that may be offered; a tuple, as many of them are made at once."""

    item_id: str
    score: float
    intents: bytes  # see serving.wire
    customer_value: float = 0.0
    company_value: float = 0.0
    value: float = 0.0
    propensity: float = 0.0
    boost: float = 0.0  # by what the value was multiplied; 0 where by nothing
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class Best:
    """The candidates of each customer one after the other, and what the model says of them."""

    count_B: Sequence[int]
    item_ids: Sequence[str]  # N
    price_N: np.ndarray  # 0 where it is not known
    joint_NT: np.ndarray
    intent_BU: np.ndarray


def best(
    scores: Scores,
    *,
    open_BK: np.ndarray,
    most_B: Sequence[int],
    item_ids: ItemIds,
    price_V: np.ndarray,
) -> Best:
    """For each customer the best `most` items that are open to them, in the model's order."""
    kept_BK = open_BK & (np.cumsum(open_BK, axis=1) <= np.array(most_B)[:, None])
    places = scores.item_BK[kept_BK]
    return Best(
        kept_BK.sum(axis=1).tolist(),
        item_ids(places.tolist()),
        np.nan_to_num(price_V[places]),
        scores.joint_BKT[kept_BK],
        scores.intent_BU,
    )


def gathered(found: Best, question_R: Sequence[int]) -> Best:
    """One list for each question, of which the first row is its own; an item counts once."""
    spans = list(pairwise(accumulate(found.count_B, initial=0)))
    own_B = [dict[str, int]() for _ in set(question_R)]
    for at, (begin, end) in zip(question_R, spans, strict=True):
        for place in range(begin, end):
            own_B[at].setdefault(found.item_ids[place], place)
    places = np.array([place for own in own_B for place in own.values()], np.int64)
    return Best(
        [len(own) for own in own_B],
        [item_id for own in own_B for item_id in own],
        found.price_N[places],
        found.joint_NT[places],
        found.intent_BU[: len(own_B)],
    )


def rank(
    best: Best,
    expected: Expected,
    offers: Offers,
    intents_M: Sequence[bytes],
    favours: Favours = NO_FAVOURS,
) -> list[list[Ranked]]:
    """What is offered to each customer, with the types that come next with it."""
    at_M = offers.at_M
    every = map(
        Ranked,
        [best.item_ids[each] for each in at_M.tolist()],
        best.joint_NT[at_M].sum(axis=1).tolist(),
        intents_M,
        expected.customer_N[at_M].tolist(),
        expected.company_N[at_M].tolist(),
        offers.value_N[at_M].tolist(),
        offers.propensity_M.tolist(),
        *_favoured(favours, at_M),
    )
    return [list(islice(every, count)) for count in offers.count_B]


def _favoured(favours: Favours, at_M: np.ndarray) -> list[Iterable[float | bool]]:
    boost_N, pin_N = favours.boost_N, favours.pin_N
    return [
        repeat(0.0) if boost_N is None else np.where(boost_N == 1, 0.0, boost_N)[at_M].tolist(),
        repeat(False) if pin_N is None else (pin_N != NOT_PINNED)[at_M].tolist(),
    ]


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
