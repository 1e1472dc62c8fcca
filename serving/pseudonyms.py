"""Pseudonyms: what logs say in place of whoever a request names, the same for as long as we run."""

import os
from collections.abc import Iterator
from functools import cache
from hashlib import blake2b

from google.protobuf.message import Message

NAMING = {"customer_id", "anonymous_id", "session_id", "interaction_id", "attributes"}
"""The fields of requests by which somebody may be found."""
SHORTEST = 3  # what is shorter stands in any text by chance


@cache
def _secret() -> bytes:
    """Of this process: nobody can try out which customer a pseudonym is of."""
    return os.urandom(32)


def pseudonym(name: str) -> str:
    """What logs call somebody."""
    return f"<{blake2b(name.encode(), digest_size=6, key=_secret()).hexdigest()}>"


def without_ids(text: str, request: Message | None) -> str:
    """A text for a log, without those whom a request names."""
    names = set(_names_in(request)) if request is not None else set()
    for name in sorted(names, key=len, reverse=True):
        if len(name) >= SHORTEST:
            text = text.replace(name, pseudonym(name))
    return text


def _names_in(message: Message) -> Iterator[str]:
    for field, value in message.ListFields():
        if field.name in NAMING:
            yield from value.values() if field.name == "attributes" else (value,)
        elif field.message_type is not None:
            for each in [value] if isinstance(value, Message) else value:
                if isinstance(each, Message):  # and not the key of a map
                    yield from _names_in(each)
