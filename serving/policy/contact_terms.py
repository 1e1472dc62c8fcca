"""What follows from the contact rules of a policy for these interaction types and channels."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from features.declared import Misfit
from features.policy.restraint import LANDING, Contact, Limit
from features.vocabulary import Initiator, Vocabulary
from serving.policy.budget import TICKS_PER_DAY

CONTACTS = ("message", "impression")  # the types by which customers are turned to
DISMISSAL = "dismissal"
CODES = 256


@dataclass(frozen=True, slots=True)
class TypedLimit:
    """A limit, and which types it counts, by type code."""

    limit: Limit
    types: np.ndarray
    channel_code: int


@dataclass(frozen=True, slots=True)
class ContactTerms:
    """Made once for a policy; arrays say it by type code."""

    rules: Contact
    after: tuple[tuple[str, int, int], ...]  # name and code of a type, and ticks
    opening: np.ndarray  # whether it opens a case
    closing: np.ndarray
    welcome: np.ndarray  # whether it is worth something to the customer who began it
    dismissing: np.ndarray
    limits: tuple[TypedLimit, ...]
    channel_codes: dict[str, int]
    landing: Mapping[str, str]  # into which channel a contact leads, where that is another one


def contact_terms(rules: Contact, vocabulary: Vocabulary) -> ContactTerms:
    """What is built in is passed over where the vocabulary has no such type."""
    types = vocabulary.types
    ours = (each for each in types.values() if each.initiator == Initiator.CUSTOMER)
    after = {types[name]: days for name, days in rules.after.items() if name in types}
    return ContactTerms(
        rules,
        tuple((each.name, each.code, int(d * TICKS_PER_DAY)) for each, d in after.items()),
        types_of(rules.open_case.opened_by, vocabulary),
        types_of(rules.open_case.closed_by, vocabulary),
        types_of((each.name for each in ours if each.customer_value > 0), vocabulary),
        types_of([DISMISSAL], vocabulary),
        tuple(_typed(each, vocabulary) for each in rules.limits),
        vocabulary.channels,
        {by: to for by, to in LANDING.items() if to in vocabulary.channels} | rules.landing,
    )


def unknown_types(rules: Contact, vocabulary: Vocabulary) -> list[str]:
    """The types that the rules name, other than those built in, and the vocabulary does not."""
    case = rules.open_case
    named = [each.type for each in rules.limits if each.type]
    if "after" in rules.model_fields_set:
        named += rules.after
    if "open_case" in rules.model_fields_set:
        named += [*case.opened_by, *case.closed_by]
    return sorted(set(named) - vocabulary.types.keys())


def stray_landings(rules: Contact, vocabulary: Vocabulary) -> list[Misfit]:
    """The channels of which the model has heard nothing, so that it cannot be asked for them."""
    known = ", ".join(vocabulary.channels)
    return [
        Misfit(("contact", "landing", by), to, f"must be a channel of the vocabulary: {known}")
        for by, to in rules.landing.items()
        if to not in vocabulary.channels
    ]


def _typed(limit: Limit, vocabulary: Vocabulary) -> TypedLimit:
    types = types_of([limit.type] if limit.type else CONTACTS, vocabulary)
    return TypedLimit(limit, types, vocabulary.channel_code(limit.channel or ""))


def types_of(names: Iterable[str], vocabulary: Vocabulary) -> np.ndarray:
    """Which type codes are of these names; those that there are not are passed over."""
    chosen = np.zeros(CODES, bool)
    chosen[[vocabulary.types[each].code for each in names if each in vocabulary.types]] = True
    return chosen
