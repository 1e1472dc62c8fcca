"""Pairs of keys that sign artefacts, as PEM files."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)


def write_pair(folder: Path, name: str = "ours") -> tuple[Path, Path]:
    """A private key, and a file that trusts it."""
    key = Ed25519PrivateKey.generate()
    signing, trusted = folder / f"{name}.pem", folder / f"{name}-trusted.pem"
    signing.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    trusted.write_bytes(public)
    return signing, trusted
