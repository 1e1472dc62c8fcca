"""Preferences: what a customer wants no more of, and until when to be left alone.

An opt-out with the attribute `topic` mutes that topic, an opt-in with it ends that; an opt-out of
everything has `until`: a pause. What was said last of a topic, by event time, holds. On-line each
is a record beside those of consent, told apart by channel 0, that differs from features.record in

    head = time 40 | kind 8, 0 8; of a pause its length 16 | type 8     tail = topic 43 | 0 5

length   up to 32,767 minutes, or, with the high bit, hours; rounded up
topic    features.record.item_hash of the item's id, or else of the topic as the attribute has it
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from features.interaction import OPT_OUT, Interaction
from features.record import (
    CHANNEL_BITS,
    RECORD_BYTES,
    TICK_SHIFT,
    TICKS_PER_SECOND,
    item_hash,
    tick,
)
from features.topic import EVERYTHING, TOPIC, Kind, Topic, parse_topic, pause_end
from features.vocabulary import Vocabulary

NO_CHANNEL = 0  # which no interaction has
CHANNEL_MASK = (1 << CHANNEL_BITS) - 1
IN_HOURS = 1 << 15
TICKS_PER_MINUTE = 60 * TICKS_PER_SECOND
CODE_OF = {kind: at for at, kind in enumerate(Kind, start=1)}
KIND_OF = {code: kind for kind, code in CODE_OF.items()}


@dataclass(frozen=True, slots=True)
class Preferences:
    """What holds of one customer."""

    muted: Mapping[int, Kind] = field(default_factory=dict)  # by topic_key
    pause_end_tick: int = 0

    def mutes(self, topic: Topic) -> bool:
        """Whether the customer wants no more of it."""
        return bool(self.muted) and topic_key(topic) in self.muted

    def pauses(self, now_tick: int) -> bool:
        """Whether the customer wants to be left alone now."""
        return now_tick < self.pause_end_tick


NO_PREFERENCES = Preferences()


def topic_key(topic: Topic) -> int:
    """The 43 bits that stand for a topic: those of the item where it is one."""
    return item_hash(topic.name if topic.kind is Kind.ITEM else str(topic))


PAUSE = topic_key(EVERYTHING)


def preference_record(interaction: Interaction, vocabulary: Vocabulary) -> bytes:
    """The record of a checked opt-out or opt-in that names a topic."""
    topic = parse_topic(interaction.attributes[TOPIC])
    said = CODE_OF[topic.kind] << 8
    if topic == EVERYTHING:
        said = _length(interaction) if interaction.type == OPT_OUT else 0
    head = tick(interaction.event_time) << TICK_SHIFT | said << 8
    head |= vocabulary.types[interaction.type].code
    tail = topic_key(topic) << CHANNEL_BITS | NO_CHANNEL
    return head.to_bytes(8, "big") + tail.to_bytes(6, "big")


def _length(interaction: Interaction) -> int:
    lasts = max(pause_end(interaction.attributes) - interaction.event_time, timedelta())
    minutes = -(-lasts // timedelta(minutes=1))
    return minutes if minutes < IN_HOURS else IN_HOURS | -(-minutes // 60)


def _ticks(length: int) -> int:
    minutes = (length - IN_HOURS) * 60 if length & IN_HOURS else length
    return minutes * TICKS_PER_MINUTE


def preferences_of(records: bytes, vocabulary: Vocabulary) -> Preferences:
    """What records say at last, oldest first; those of consent say nothing here."""
    muting = vocabulary.types[OPT_OUT].code if OPT_OUT in vocabulary.types else None
    muted: dict[int, Kind] = {}
    pause_end_tick = 0
    for key, head in _topics(records):
        mutes, said = head & 255 == muting, head >> 8 & 0xFFFF
        if key == PAUSE:
            pause_end_tick = (head >> TICK_SHIFT) + _ticks(said) if mutes else 0
        elif mutes and said >> 8 in KIND_OF:
            muted[key] = KIND_OF[said >> 8]
        else:
            muted.pop(key, None)
    return Preferences(muted, pause_end_tick) if muted or pause_end_tick else NO_PREFERENCES


def topic_count(records: bytes) -> int:
    """Of how many topics anything is held."""
    return len({key for key, _ in _topics(records)})


def _topics(records: bytes) -> Iterator[tuple[int, int]]:
    """Of each record of a preference its topic_key and its head."""
    for at in range(0, len(records), RECORD_BYTES):
        tail = int.from_bytes(records[at + 8 : at + RECORD_BYTES], "big")
        if tail & CHANNEL_MASK == NO_CHANNEL:
            yield tail >> CHANNEL_BITS, int.from_bytes(records[at : at + 8], "big")
