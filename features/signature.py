"""Signatures: Ed25519, made with the key of whoever trains, checked against keys that are trusted.

A pair of keys is two PEM files:

    openssl genpkey -algorithm ed25519 -out signing.pem
    openssl pkey -in signing.pem -pubout -out trusted.pem

Whoever checks may trust several keys: their PEM blocks stand in one file, one after another.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
PUBLIC = b"PUBLIC KEY"
UNREADABLE = (OSError, ValueError, TypeError, UnsupportedAlgorithm)
MAKE = "openssl genpkey -algorithm ed25519 makes one"


class KeyFileError(OSError):
    """A file without the keys that it should hold; the text names it, and shows none of it."""


def read_signing_key(path: Path) -> Ed25519PrivateKey:
    """The private key in a PEM file without a password; raises KeyFileError."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except UNREADABLE as error:
        reason = error.strerror if isinstance(error, OSError) else type(error).__name__
        rule = f"must be a PEM file of a private key without a password: {MAKE}"
        raise KeyFileError(f"{path} {rule} ({reason})") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path} holds a key that is none of Ed25519: {MAKE}")
    return key


def read_trusted_keys(path: Path) -> tuple[Ed25519PublicKey, ...]:
    """The public keys in a PEM file, one at least; raises KeyFileError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}") from None
    blocks = [(each[1], each[0]) for each in BLOCK.finditer(content)]
    if not blocks:
        raise KeyFileError(f"{path} must hold public keys in PEM: there is none")
    return tuple(_public_key(path, kind, block) for kind, block in blocks)


def is_signed(content: bytes, signature: bytes, trusted: Sequence[Ed25519PublicKey]) -> bool:
    """Whether one of the keys made this signature of this content."""
    return any(_made(key, content, signature) for key in trusted)


def _public_key(path: Path, kind: bytes, block: bytes) -> Ed25519PublicKey:
    if kind != PUBLIC:
        told = kind.decode().lower()
        raise KeyFileError(f"{path} holds a {told}: must be public keys, and nothing else")
    try:
        key = load_pem_public_key(block)
    except UNREADABLE as error:
        raise KeyFileError(f"{path} holds a broken key: {type(error).__name__}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f"{path} holds a key that is none of Ed25519")
    return key


def _made(key: Ed25519PublicKey, content: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, content)
    except InvalidSignature:
        return False
    return True
