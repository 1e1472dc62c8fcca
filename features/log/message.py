"""A message of the log: interactions as compact JSON, compressed where that saves much.

A message is a JSON array of objects with the fields that are set, and event_time in microseconds
since 1970; or the same compressed by zlib, whose first byte is never that of an array.
"""

import json
import zlib
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from features.interaction import SCHEMA, Interaction
from features.record import EPOCH

COMPRESSED_FROM_BYTES = 1024
ARRAY = b"["
MICROSECOND = timedelta(microseconds=1)
FIELDS = tuple(name for name in SCHEMA.names if name != "event_time")


def encode(interactions: Iterable[Interaction]) -> bytes:
    """Interactions as a message."""
    rows = [_row(each) for each in interactions]
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()
    return zlib.compress(text, 1) if len(text) >= COMPRESSED_FROM_BYTES else text


def decode(message: bytes) -> list[Interaction]:
    """The interactions of a message; raises ValueError for anything else."""
    try:
        return [_interaction(row) for row in _rows(message)]
    except (zlib.error, TypeError, KeyError) as error:
        raise ValueError(f"{message[:40]!r} holds no interactions: {error}") from error


def decode_wanted(
    message: bytes, wanted: Callable[[str | None, str | None], bool]
) -> list[Interaction]:
    """Those of a message that name a wanted customer_id or anonymous_id; raises ValueError."""
    return [
        _interaction(row)
        for row in _rows(message)
        if wanted(row.get("customer_id"), row.get("anonymous_id"))
    ]


def _row(each: Interaction) -> dict[str, Any]:
    row = {name: value for name in FIELDS if (value := getattr(each, name)) is not None}
    if not each.attributes:
        del row["attributes"]
    row["event_time"] = (each.event_time - EPOCH) // MICROSECOND
    return row


def _rows(message: bytes) -> Any:
    return json.loads(message if message.startswith(ARRAY) else zlib.decompress(message))


def _interaction(row: dict[str, Any]) -> Interaction:
    row["event_time"] = EPOCH + timedelta(microseconds=row["event_time"])
    return Interaction(**row)
