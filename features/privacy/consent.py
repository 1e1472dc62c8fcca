"""Consent: what a customer allows, purpose by purpose; nothing said means no.

An interaction of type opt-in or opt-out says it in its attribute `purpose`; an opt-out without one
withdraws everything; one that names a topic instead says a preference. What was said last, by event
time, holds. On-line it is kept as records of features.record whose item is the purpose.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from features.interaction import OPT_IN, OPT_OUT, PURPOSE, Interaction, Purpose
from features.privacy.preferences import (
    NO_PREFERENCES,
    Preferences,
    preference_record,
    preferences_of,
)
from features.record import RECORD, item_hash, pack, unpack
from features.topic import TOPIC
from features.vocabulary import Vocabulary

MAX_CONSENT_RECORDS = 256  # of a customer: purposes and topics, of each what was said last
ITEM_OF = {purpose: f"purpose:{purpose}" for purpose in Purpose}
PURPOSE_OF = {item_hash(item): purpose for purpose, item in ITEM_OF.items()}


@dataclass(frozen=True, slots=True)
class Consent:
    """What one customer has said: allowed, refused, or, where a purpose is absent, nothing."""

    said: Mapping[Purpose, bool]
    preferences: Preferences = NO_PREFERENCES

    def allows(self, purpose: Purpose, *, assumed: frozenset[Purpose] = frozenset()) -> bool:
        """Whether it may be; `assumed` are the purposes that silence allows here."""
        return self.said.get(purpose, purpose in assumed)


SAID_NOTHING = Consent({})


def consent_records(interaction: Interaction, vocabulary: Vocabulary) -> bytes:
    """The records by which an interaction changes what was said; empty for every other one."""
    if interaction.type not in (OPT_IN, OPT_OUT):
        return b""
    if TOPIC in interaction.attributes:
        return preference_record(interaction, vocabulary)
    named = interaction.attributes.get(PURPOSE)
    purposes = [Purpose(named)] if named is not None else list(Purpose)
    about = (replace(interaction, item_id=ITEM_OF[each]) for each in purposes)
    return b"".join(pack(each, vocabulary) for each in about)


def consent_of(records: bytes, vocabulary: Vocabulary) -> Consent:
    """What the records of consent_records, oldest first, say at last."""
    if not records:
        return SAID_NOTHING
    columns = unpack(np.frombuffer(records, RECORD))
    granting = vocabulary.types[OPT_IN].code if OPT_IN in vocabulary.types else None
    said = zip(columns.item.tolist(), columns.type.tolist(), strict=True)
    known = {PURPOSE_OF[item]: code == granting for item, code in said if item in PURPOSE_OF}
    return Consent(known, preferences_of(records, vocabulary))


def parse_purposes(text: str) -> frozenset[Purpose]:
    """Purposes separated by commas; raises ValueError naming one that there is not."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in tuple(Purpose)]:
        raise ValueError(f"purpose {unknown[0]!r} is not one of {', '.join(Purpose)}")
    return frozenset(Purpose(name) for name in names)
