"""API keys: random secrets, of which only a hash is kept.

A key has 256 bits of chance, so that a plain SHA-256 cannot be turned back; a slow hash, made for
passwords that people choose, would only make it cheap to keep the server busy.
"""

import secrets
from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest
from typing import TypeVar

PREFIX = "interplay_"  # by which scanners for secrets know one
RANDOM_BYTES = 32
HASH_PATTERN = "^[0-9a-f]{64}$"

T = TypeVar("T")


def new_key() -> str:
    """A key that nobody else has."""
    return PREFIX + secrets.token_urlsafe(RANDOM_BYTES)


def hash_of(key: str) -> str:
    """What stands of it in a file."""
    return sha256(key.encode()).hexdigest()


def holder(hash: str, held: Iterable[tuple[str, T]]) -> T | None:
    """Who has the key of this hash; takes as long wherever it stands, and if it does not."""
    found = None
    for each, who in held:
        if compare_digest(each, hash):
            found = who
    return found
