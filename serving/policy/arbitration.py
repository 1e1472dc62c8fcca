"""Arbitration: which candidates are offered, in which order, or nothing at all.

A candidate is worth the weighted value of both sides less what the customer's attention costs, and
silence is worth 0. It may be offered if it is worth more than silence, and not less to the customer
than the floor: what harms the customer is not offered, whatever it earns.

Of a share of decisions the first places are drawn from all that may be offered, each order being as
likely. So the propensity of an item, the probability that it stands in a place, is known exactly:

    share / (how many may be offered)  +  (1 - share) if by value it belongs there, else 0

B customers   N candidates of all of them, customer by customer   M offered of them, in their order
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from serving.policy.declaration import Policy
from serving.policy.worth import Expected


class Silence(Enum):
    """Why nothing is offered."""

    LOW_VALUE = 1  # nothing is worth more than silence
    FATIGUE = 2  # the customer has been turned to often enough
    NO_CONSENT = 3  # the customer does not want to be turned to
    NOT_ELIGIBLE = 4  # there is nothing that might be offered
    HOLDOUT = 5  # the customer belongs to those who are left alone, for comparison


@dataclass(frozen=True, slots=True)
class Offers:
    """What is offered to each customer, best first."""

    count_B: list[int]
    at_M: np.ndarray  # which of the N
    value_N: np.ndarray  # of both sides, less attention
    propensity_M: np.ndarray  # 0 beyond the places that are drawn
    silence_B: list[Silence | None]


def arbitrate(
    expected: Expected,
    score_N: np.ndarray,
    count_B: Sequence[int],
    *,
    policy: Policy,
    cost_B: np.ndarray,
    k_B: Sequence[int],
    random: np.random.Generator,
) -> Offers:
    """At most k of each customer's candidates; among equals the more probable comes first."""
    counts = np.asarray(count_B, np.int64)
    customer_N = np.repeat(np.arange(len(counts)), counts)
    value_N = _value(expected, policy) - cost_B[customer_N]
    open_N = (value_N > 0) & (expected.customer_N >= policy.customer_floor)
    # 1. By value: the place of each among those of its customer that may be offered.
    order_O = np.lexsort((-score_N, -value_N, customer_N))
    order_O = order_O[open_N[order_O]]
    open_B = np.bincount(customer_N[order_O], minlength=len(counts))
    place_O = _places(open_B)
    # 2. Where the policy explores: the first places by lot.
    share, places = policy.exploration.share, policy.exploration.places
    key_O = np.full(len(order_O), places)
    if share:
        drawn_O = _places(open_B)[
            _inverse(np.lexsort((random.random(len(order_O)), customer_N[order_O])))
        ]
        explored_O = (random.random(len(counts)) < share)[customer_N[order_O]]
        key_O = np.where(explored_O & (drawn_O < places), drawn_O, places)
    shown_O = np.lexsort((place_O, key_O, customer_N[order_O]))
    # 3. The first k, and how likely each was to stand where it does.
    kept_O = place_O < np.asarray(k_B)[customer_N[order_O]]
    taken_M = shown_O[kept_O]
    at_M, where_M = order_O[taken_M], place_O[kept_O]
    by_lot_M = share / open_B[customer_N[at_M]]
    propensity_M = by_lot_M + (1 - share) * (place_O[taken_M] == where_M)
    propensity_M = np.where(where_M < places, propensity_M, 0.0)
    offered_B = np.minimum(open_B, k_B).tolist()
    silence_B = [
        None if offered else Silence.LOW_VALUE if held else Silence.NOT_ELIGIBLE
        for offered, held in zip(offered_B, count_B, strict=True)
    ]
    return Offers(offered_B, at_M, value_N, propensity_M, silence_B)


def _value(expected: Expected, policy: Policy) -> np.ndarray:
    weights = policy.weights
    value_N: np.ndarray = (
        weights.customer * expected.customer_N + weights.company * expected.company_N
    )
    return value_N


def _places(count_B: np.ndarray) -> np.ndarray:
    """0, 1, ... anew for each customer."""
    starts = np.cumsum(count_B) - count_B
    return np.arange(count_B.sum()) - np.repeat(starts, count_B)


def _inverse(order: np.ndarray) -> np.ndarray:
    inverse = np.empty_like(order)
    inverse[order] = np.arange(len(order))
    return inverse
