"""Feast's bytes: an entity's key and an answer, put together without decoding what is held.

Feast's own way from a reply of Redis to GetOnlineFeaturesResponse decodes and copies every value
and timestamp in Python. What Redis holds is already encoded as the answer needs it.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

STRING = 2  # feast.types.ValueType.STRING
STRING_VAL = 0x12  # field of feast.types.Value
METADATA, RESULTS = 0x0A, 0x12  # fields of GetOnlineFeaturesResponse
FEATURE_NAMES, NAME = 0x0A, 0x0A  # of its metadata, and of their list
VALUES, STATUSES, EVENT_TIMESTAMPS = 0x0A, 0x12, 0x1A  # of a FeatureVector
PRESENT = b"\x01"  # which the Redis store says of every value, held or not
NEVER = b"\x1a\x00"  # an empty timestamp among EVENT_TIMESTAMPS

Reply = Sequence[bytes | None]
"""What HMGET gives for Plan.fields."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the features of one service are read for entities of one string key."""

    join_key: str
    key_head: bytes  # before the length of the entity's own key
    key_tail: bytes
    fields: tuple[bytes, ...]  # what HMGET asks for
    places: tuple[tuple[int, int], ...]  # for each feature: where value and timestamp stand
    metadata: bytes
    feature_types: dict[str, Any]

    def key(self, entity: str) -> bytes:
        """Where Feast keeps an entity in Redis."""
        encoded = entity.encode()
        return b"".join(
            (self.key_head, struct.pack("<II", STRING, len(encoded)), encoded, self.key_tail)
        )

    def answer(self, entities: Sequence[str], replies: Sequence[Reply]) -> bytes:
        """The GetOnlineFeaturesResponse to a question about these entities, encoded."""
        statuses = field(STATUSES, PRESENT * len(entities))
        keys = [field(VALUES, field(STRING_VAL, each.encode())) for each in entities]
        parts = [self.metadata, field(RESULTS, b"".join((*keys, statuses, NEVER * len(keys))))]
        for value_at, timestamp_at in self.places:
            values = [field(VALUES, reply[value_at] or b"") for reply in replies]
            times = [field(EVENT_TIMESTAMPS, reply[timestamp_at] or b"") for reply in replies]
            parts.append(field(RESULTS, b"".join((*values, statuses, *times))))
        return b"".join(parts)


def metadata(names: Sequence[str]) -> bytes:
    """The names of what an answer holds, in its order, encoded."""
    listed = b"".join(field(NAME, each.encode()) for each in names)
    return field(METADATA, field(FEATURE_NAMES, listed))


def field(tag: int, payload: bytes) -> bytes:
    """A length-delimited field of a protobuf message."""
    length = len(payload)
    if length < 128:
        return bytes((tag, length)) + payload
    if length < 16384:
        return bytes((tag, length & 127 | 128, length >> 7)) + payload
    head = bytearray((tag,))
    while length > 127:
        head.append(length & 127 | 128)
        length >>= 7
    head.append(length)
    return bytes(head) + payload
