"""Arms: customers who are decided for in another way, so that the full policy can be compared.

A customer's lot is a hash of the experiment's name and the customer key, from 0 to below 1; the
arms follow one another on that line, the full one last. So a customer has the same arm in every
channel, process and year, and another experiment, by its name, draws anew. An anonymous history
that is joined to a customer is answered in that customer's arm from then on.

In every arm consent, wishes, limits and the floor hold: nobody is harmed to learn something.

B customers
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

import numpy as np

from features.policy.declaration import Exploration
from features.policy.experiment import Experiment

LOT_BYTES, LOT_BITS = 8, 53  # as many as a float tells apart


class Arm(StrEnum):
    """What an arm does otherwise than the full policy."""

    NO_CONTACT = "no-contact"  # nobody is turned to; who asks is answered without profile
    NO_PERSONALIZATION = "no-personalization"  # the history does not count
    PROPENSITY_ONLY = "propensity-only"  # the most probable comes first; silence does not compete
    RANDOM_ELIGIBLE = "random-eligible"  # all that may be offered is as likely in each place
    FULL = "full"

    @property
    def profiles(self) -> bool:
        """Whether the customer's history counts.

        Where nobody is turned to it does not: that arm shows what customers do without all this,
        but they must be answered, and so they are as if they had not agreed to be profiled.
        """
        return self not in (Arm.NO_CONTACT, Arm.NO_PERSONALIZATION)


def lots(name: str, customer_keys: Sequence[str]) -> np.ndarray:
    """Where each customer stands between 0 and 1 (B)."""
    salt = f"{name}\0".encode()
    digests = (blake2b(salt + key.encode(), digest_size=LOT_BYTES) for key in customer_keys)
    drawn_B = np.frombuffer(b"".join(each.digest() for each in digests), ">u8")
    lot_B: np.ndarray = (drawn_B >> np.uint64(8 * LOT_BYTES - LOT_BITS)) / 2.0**LOT_BITS
    return lot_B


def arms_of(experiment: Experiment, customer_keys: Sequence[str]) -> list[Arm | None]:
    """Each customer's arm; none where no experiment is on."""
    shares = experiment.shares
    if not shares.total:
        return [None] * len(customer_keys)
    each = shares.no_contact, shares.no_personalization, shares.propensity_only
    ends = np.cumsum([*each, shares.random_eligible])
    arms, at_B = list(Arm), np.searchsorted(ends, lots(experiment.name, customer_keys), "right")
    return [arms[at] for at in at_B.tolist()]


DIFFERENT = frozenset((Arm.PROPENSITY_ONLY, Arm.RANDOM_ELIGIBLE))  # whose candidates are treated so


@dataclass(frozen=True, slots=True)
class Treatment:
    """How each customer's candidates become offers."""

    greedy_B: np.ndarray  # whether by probability alone
    share_B: np.ndarray  # of exploration: with which probability the first places are drawn
    places_B: np.ndarray  # and how many they are
    new_B: np.ndarray  # with which probability new items come first then; 0: they are like all


def treatment(
    arm_B: Sequence[Arm | None], exploration: Exploration, k_B: Sequence[int]
) -> Treatment:
    """What follows from the arms, and from the exploration that the policy declares."""
    if DIFFERENT.isdisjoint(arm_B):
        size, share, new = len(arm_B), exploration.share, exploration.new_items
        declared = np.full(size, share), np.full(size, exploration.places), np.full(size, new)
        return Treatment(np.zeros(size, bool), *declared)
    greedy_B = np.array([each is Arm.PROPENSITY_ONLY for each in arm_B], bool)
    random_B = np.array([each is Arm.RANDOM_ELIGIBLE for each in arm_B], bool)
    share_B = np.where(greedy_B, 0.0, np.where(random_B, 1.0, exploration.share))
    places_B = np.where(random_B, k_B, exploration.places)
    return Treatment(greedy_B, share_B, places_B, np.where(random_B, 0.0, exploration.new_items))
