"""Arbitration: which candidates are offered, in which order, or nothing at all.

A candidate is worth the weighted value of both sides less what the customer's attention costs, and
silence is worth 0. It may be offered if it is worth more than silence, and not less to the customer
than the floor: what harms the customer is not offered, whatever it earns.

What is boosted is worth as many times more to both sides. What is pinned stands first, where it may
be offered.

Of a share of decisions the first places behind that are drawn from all that may be offered, each
order being as likely but that new items may get a share (see exploring). So the propensity of an
item, the probability that it stands in a place, is known exactly:

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
from features.policy.exploring import chance, drawn
from features.policy.favours import NO_FAVOURS, NOT_PINNED, Favours
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
    favours: Favours = NO_FAVOURS,
) -> Offers:
    """At most k of each customer's candidates; among equals the more probable comes first.

    None of those that are muted, if any are; `how` for each customer, where arms differ.
    """
    how = how or treatment([None] * len(count_B), policy.exploration, k_B)
    customer_N = np.repeat(np.arange(len(count_B)), count_B)
    value_N = _value(expected, policy, favours) - cost_B[customer_N]
    merit_N = np.where(how.greedy_B[customer_N], score_N, value_N)
    open_N = (merit_N > 0) & (expected.customer_N >= policy.customer_floor)
    muted_B = [0] * len(count_B)
    if muted_N is not None:
        open_N &= ~muted_N
        muted_B = np.bincount(customer_N[muted_N], minlength=len(count_B)).tolist()
    # By value, what is pinned first: O that may be offered, and the slot of each in its slate.
    keys = [-score_N, -merit_N, customer_N]
    if favours.pin_N is not None:
        keys.insert(2, favours.pin_N)
    order_O = np.lexsort(keys)
    order_O = order_O[open_N[order_O]]
    customer_O = customer_N[order_O]
    open_B = np.bincount(customer_O, minlength=len(count_B))
    starts = np.cumsum(open_B) - open_B
    slot_O = np.arange(len(order_O)) - starts[customer_O]
    slates = _slates(order_O, customer_O, slot_O, favours, how)
    slot_M = np.flatnonzero(slot_O < np.asarray(k_B)[customer_O])
    taken_M = _taken(slates, how, random)[slot_M]
    propensity_M = _propensity(slates, taken_M, slot_M, how)
    offered_B = np.minimum(open_B, k_B).tolist()
    every = zip(offered_B, count_B, muted_B, strict=True)
    silence_B = [None if offered else _silence(held, muted) for offered, held, muted in every]
    return Offers(offered_B, order_O[taken_M], value_N, propensity_M, silence_B)


def _value(expected: Expected, policy: Policy, favours: Favours) -> np.ndarray:
    value_N = value_of(expected, policy)
    return value_N if favours.boost_N is None else value_N * favours.boost_N


@dataclass(frozen=True, slots=True)
class _Slates:
    """What may be offered, customer by customer, by value; what is pinned stands first."""

    customer_O: np.ndarray
    place_O: np.ndarray  # among what is not pinned, 0, 1, ...; below 0 for what is
    new_O: np.ndarray | None
    free: np.ndarray | slice  # which of the O are not pinned


def _slates(
    order_O: np.ndarray,
    customer_O: np.ndarray,
    slot_O: np.ndarray,
    favours: Favours,
    how: Treatment,
) -> _Slates:
    new_O = None
    if favours.new_N is not None:
        new_O = favours.new_N[order_O] & (how.new_B > 0)[customer_O]
    if favours.pin_N is None:
        return _Slates(customer_O, slot_O, new_O, slice(None))
    pinned_O = favours.pin_N[order_O] != NOT_PINNED
    pinned_B = np.bincount(customer_O[pinned_O], minlength=len(how.share_B))
    return _Slates(customer_O, slot_O - pinned_B[customer_O], new_O, np.flatnonzero(~pinned_O))


def _taken(slates: _Slates, how: Treatment, random: np.random.Generator) -> np.ndarray:
    """Which of the O stands in the slot of each."""
    taken_O = np.arange(len(slates.place_O))
    explored_B = random.random(len(how.share_B)) < how.share_B
    if explored_B.any():
        free, new_O = slates.free, slates.new_O
        free_new = None if new_O is None else new_O[free]
        customer_O, place_O = slates.customer_O[free], slates.place_O[free]
        moved = drawn(customer_O, place_O, free_new, explored_B, how, random)
        taken_O[free] = taken_O[free][moved]
    return taken_O


def _propensity(
    slates: _Slates, taken_M: np.ndarray, slot_M: np.ndarray, how: Treatment
) -> np.ndarray:
    """With which probability each stands in its slot; both are numbers of the O."""
    customer_M, place_M = slates.customer_O[slot_M], slates.place_O[slot_M]
    propensity_M = np.ones(len(slot_M))
    if how.share_B.any():
        share_M = how.share_B[customer_M]
        chance_M = _chance(slates, taken_M, slot_M, how)
        propensity_M = share_M * chance_M + (1 - share_M) * (taken_M == slot_M)
    propensity_M[place_M >= how.places_B[customer_M]] = 0.0
    propensity_M[place_M < 0] = 1.0
    return propensity_M


def _chance(slates: _Slates, taken_M: np.ndarray, slot_M: np.ndarray, how: Treatment) -> np.ndarray:
    """The same of an explored decision."""
    customer_M, free, new_O = slates.customer_O[slot_M], slates.free, slates.new_O
    free_O, size = slates.customer_O[free], len(how.share_B)
    free_B = np.bincount(free_O, minlength=size)
    if new_O is None:
        chance_M: np.ndarray = 1 / np.maximum(free_B, 1)[customer_M]
        return chance_M
    new_B = np.bincount(free_O[new_O[free]], minlength=size)
    counts = new_B[customer_M], (free_B - new_B)[customer_M]
    return chance(slates.place_O[slot_M], new_O[taken_M], *counts, how.new_B[customer_M])


def _silence(held: int, muted: int) -> Silence:
    """Why none of so many candidates is offered, of which so many are muted."""
    if not held:
        return Silence.NOT_ELIGIBLE
    return Silence.MUTED if held == muted else Silence.LOW_VALUE
