"""Arbitration: which candidates are offered, in which order, or nothing at all.

A candidate is worth the weighted value of both sides less what the customer's attention costs, and
silence is worth 0. It may be offered if it is worth more than silence, and not less to the customer
than the floor: what harms the customer is not offered, whatever it earns.

Of a share of decisions the first places are drawn from all that may be offered, each order being as
likely. So the propensity of an item, the probability that it stands in a place, is known exactly:

    share / (how many may be offered)  +  (1 - share) if by value it belongs there, else 0

In some arms of an experiment the probability takes the place of the value, or all is drawn.

B customers   N candidates of all of them, customer by customer   O that may be offered, by value
M offered of them, in their order
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from features.policy.arms import Treatment, treatment
from features.policy.declaration import Policy
from features.policy.worth import Expected, value_of


class Silence(Enum):
    """Why nothing is offered."""

    LOW_VALUE = 1  # nothing is worth more than silence
    FATIGUE = 2  # the customer has been turned to often enough
    NO_CONSENT = 3  # the customer does not want to be turned to
    NOT_ELIGIBLE = 4  # there is nothing that might be offered
    HOLDOUT = 5  # the customer belongs to those who are left alone, for comparison
    PAUSED = 6  # the customer wants to be left alone for a time
    MUTED = 7  # the customer wants no more of what might be offered, or not here


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
    muted_N: np.ndarray | None = None,
    how: Treatment | None = None,
) -> Offers:
    """At most k of each customer's candidates; among equals the more probable comes first.

    None of those that are muted, if any are; `how` for each customer, where arms differ.
    """
    how = how or treatment([None] * len(count_B), policy.exploration, k_B)
    customer_N = np.repeat(np.arange(len(count_B)), count_B)
    value_N = value_of(expected, policy) - cost_B[customer_N]
    merit_N = np.where(how.greedy_B[customer_N], score_N, value_N)
    open_N = (merit_N > 0) & (expected.customer_N >= policy.customer_floor)
    muted_B = np.zeros(len(count_B), np.int64)
    if muted_N is not None:
        open_N &= ~muted_N
        muted_B = np.bincount(customer_N[muted_N], minlength=len(count_B))
    # By value: O that may be offered, and the place of each among those of its customer.
    order_O = np.lexsort((-score_N, -merit_N, customer_N))
    order_O = order_O[open_N[order_O]]
    customer_O = customer_N[order_O]
    open_B = np.bincount(customer_O, minlength=len(count_B))
    place_O = _places(open_B)
    # Which of them stands there in fact.
    kept_O = place_O < np.asarray(k_B)[customer_O]
    taken_M = np.flatnonzero(kept_O)
    if how.share_B.any():
        taken_M = _drawn(customer_O, open_B, how, random)[kept_O]
    by_value_M = place_O[taken_M] == place_O[kept_O]
    propensity_M = _propensity(place_O[kept_O], by_value_M, open_B, customer_O[kept_O], how)
    offered_B = np.minimum(open_B, k_B).tolist()
    every = zip(offered_B, count_B, muted_B.tolist(), strict=True)
    silence_B = [None if offered else _silence(held, muted) for offered, held, muted in every]
    return Offers(offered_B, order_O[taken_M], value_N, propensity_M, silence_B)


def _silence(held: int, muted: int) -> Silence:
    """Why none of so many candidates is offered, of which so many are muted."""
    if not held:
        return Silence.NOT_ELIGIBLE
    return Silence.MUTED if held == muted else Silence.LOW_VALUE


def _drawn(
    customer_O: np.ndarray, open_B: np.ndarray, how: Treatment, random: np.random.Generator
) -> np.ndarray:
    """Each customer's order: where it is explored, first so many by lot, then the rest by value."""
    place_O, places_O = _places(open_B), how.places_B[customer_O]
    lot_O = place_O[_inverse(np.lexsort((random.random(len(customer_O)), customer_O)))]
    explored_O = (random.random(len(open_B)) < how.share_B)[customer_O]
    key_O = np.where(explored_O & (lot_O < places_O), lot_O, places_O)
    return np.lexsort((place_O, key_O, customer_O))


def _propensity(
    place_M: np.ndarray,
    by_value_M: np.ndarray,
    open_B: np.ndarray,
    customer_M: np.ndarray,
    how: Treatment,
) -> np.ndarray:
    share_M = how.share_B[customer_M]
    drawn_M = share_M / open_B[customer_M] + (1 - share_M) * by_value_M
    return np.where(place_M < how.places_B[customer_M], drawn_M, 0.0)


def _places(count_B: np.ndarray) -> np.ndarray:
    """0, 1, ... anew for each customer."""
    starts = np.cumsum(count_B) - count_B
    return np.arange(count_B.sum()) - np.repeat(starts, count_B)


def _inverse(order: np.ndarray) -> np.ndarray:
    inverse = np.empty_like(order)
    inverse[order] = np.arange(len(order))
    return inverse
