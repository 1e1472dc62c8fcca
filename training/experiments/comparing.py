"""Comparing arms: what each is worth to both sides, and by how much more than another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from training.experiments.confidence import sure_difference, sure_mean
from training.experiments.queries import ALL, CONTACTS
from training.experiments.reading import SIDES, Observed
from training.judging.intervals import Interval

FULL, NO_CONTACT = "full", "no-contact"
BASES = (FULL, NO_CONTACT)  # what other arms are compared with
BOTH = SIDES[-1]


@dataclass(frozen=True, slots=True)
class ArmRow:
    """What a customer of an arm was worth, and how often the company turned to one."""

    arm: str
    customers: int
    value_by_side: Mapping[str, Interval]
    contacts: Interval  # a customer


@dataclass(frozen=True, slots=True)
class Lift:
    """By how much an arm is above the base, a customer, in one slice."""

    arm: str
    base: str
    side: str
    kind: str
    name: str
    interval: Interval

    @property
    def sure(self) -> bool:
        """Whether it is surely above, or surely below."""
        return self.interval.low > 0 or self.interval.high < 0


def arms_of(observed: Observed) -> list[str]:
    """The bases first."""
    return sorted(observed.count_by_arm, key=lambda arm: (arm not in BASES, arm))


def arm_rows(observed: Observed) -> list[ArmRow]:
    """One for each arm."""
    return [
        ArmRow(
            arm,
            observed.customers(arm),
            {side: sure_mean(observed.moments(arm, side)) for side in SIDES},
            sure_mean(observed.moments(arm, SIDES[0], kind=CONTACTS)),
        )
        for arm in arms_of(observed)
    ]


def contact_channels(observed: Observed) -> list[str]:
    """Where it was asked whether to turn to a customer."""
    return sorted({each.channel for each in observed.answers if each.unasked})


def contact_rate(observed: Observed, arm: str, channel: str = "") -> float | None:
    """Of the times that it was asked whether to turn to a customer, how often it did; else None."""
    rows = [
        each
        for each in observed.answers
        if each.unasked and each.arm == arm and channel in ("", each.channel)
    ]
    asked = sum(each.asked for each in rows)
    return sum(each.offered for each in rows) / asked if asked else None


def lift(
    observed: Observed, arm: str, base: str, side: str, *, kind: str = ALL, name: str = ""
) -> Lift:
    """Of one arm over another."""
    one, other = (observed.moments(each, side, kind=kind, name=name) for each in (arm, base))
    return Lift(arm, base, side, kind, name, sure_difference(one, other))


def compared(observed: Observed) -> list[tuple[str, list[str]]]:
    """Each base that there is, with the arms to compare with it."""
    arms = arms_of(observed)
    return [
        (base, [each for each in arms if each != base])
        for base in BASES
        if base in arms and len(arms) > 1
    ]


def slices(observed: Observed, base: str, arms: Sequence[str], kind: str) -> list[list[Lift]]:
    """A row of lifts, of both sides together, for each channel or each type."""
    return [
        [lift(observed, arm, base, BOTH, kind=kind, name=name) for arm in arms]
        for name in observed.names(kind)
    ]
