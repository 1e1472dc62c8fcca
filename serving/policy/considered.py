"""What was considered for each customer: the candidates, what they are worth, and what was offered.

N candidates of all customers, customer by customer   K of one of them   T predicted types
M offered of the N   J offered of the K
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from features.policy.arbitration import Offers
from features.policy.favours import NO_FAVOURS, Favours
from features.policy.worth import Expected
from serving.policy.ranking import Best


@dataclass(frozen=True, slots=True)
class Considered:
    """The candidates of one customer, in the model's order."""

    types: Sequence[str]
    item_ids: Sequence[str]
    price_K: np.ndarray
    joint_KT: np.ndarray
    customer_K: np.ndarray
    company_K: np.ndarray
    value_K: np.ndarray
    muted_K: np.ndarray | None  # which of them the customer has muted
    at_J: np.ndarray  # what was offered, in order, as places among the K
    propensity_J: np.ndarray
    cost: float  # of the customer's attention
    favours: Favours  # of these K


def considered(
    best: Best,
    expected: Expected,
    offers: Offers,
    favours: Favours = NO_FAVOURS,
    *,
    types: Sequence[str],
    costs: Sequence[float],
    muted_N: np.ndarray | None,
) -> list[Considered]:
    """Customer by customer; views of the arrays, not copies."""
    spans = pairwise(accumulate(best.count_B, initial=0))
    offered = pairwise(accumulate(offers.count_B, initial=0))
    return [
        Considered(
            types,
            best.item_ids[begin:end],
            best.price_N[begin:end],
            best.joint_NT[begin:end],
            expected.customer_N[begin:end],
            expected.company_N[begin:end],
            offers.value_N[begin:end],
            None if muted_N is None else muted_N[begin:end],
            offers.at_M[first:last] - begin,
            offers.propensity_M[first:last],
            cost,
            favours.within(begin, end),
        )
        for (begin, end), (first, last), cost in zip(spans, offered, costs, strict=True)
    ]
