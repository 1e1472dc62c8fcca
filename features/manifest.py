"""The manifest of an artefact: the sha256 of each of its files, and who has signed for them."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from features.signature import is_signed, read_trusted_keys
from features.sound import ArtefactError, sound

MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"


def write_digests(
    directory: Path, names: Iterable[str], signing_key: Ed25519PrivateKey | None
) -> None:
    """Writes manifest.json, and with a key manifest.sig; a signature of before goes."""
    manifest = _told({name: sha256_of(directory / name) for name in names})
    (directory / MANIFEST).write_bytes(manifest)
    (directory / SIGNATURE).unlink(missing_ok=True)
    if signing_key is not None:
        (directory / SIGNATURE).write_bytes(signing_key.sign(manifest))


def read_digests(directory: Path, trusted_keys: str) -> dict[str, str]:
    """What manifest.json says, once it is signed by a trusted key, if there is a file of them.

    Raises ArtefactError; of the file of keys, which is read anew each time, KeyFileError.
    """
    with sound(directory / MANIFEST):
        manifest = (directory / MANIFEST).read_bytes()
    if trusted_keys:
        _verify_signature(directory, manifest, Path(trusted_keys))
    with sound(directory / MANIFEST):
        digests: dict[str, str] = dict(json.loads(manifest))
        if manifest != _told(digests):
            raise ValueError("it is not as it was written")
    return digests


def verify_digest(directory: Path, name: str, digests: Mapping[str, str]) -> None:
    """Raises ArtefactError for a file that is not the one in the manifest."""
    path = directory / name
    if not path.is_file():
        raise ArtefactError(f"{directory}: {name} is missing")
    if sha256_of(path) != digests.get(name):
        raise ArtefactError(f"{directory}: {name} does not match its sha256 in {MANIFEST}")


def sha256_of(path: Path) -> str:
    """Of the content of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verify_signature(directory: Path, manifest: bytes, keys: Path) -> None:
    trusted, path = read_trusted_keys(keys), directory / SIGNATURE
    if not path.is_file():
        raise ArtefactError(f"{path} is missing: a key of {keys} must have signed")
    with sound(path):
        signature = path.read_bytes()
    if not is_signed(manifest, signature, trusted):
        raise ArtefactError(f"{path} is no signature of this {MANIFEST} by a key of {keys}")


def _told(digests: Mapping[str, str]) -> bytes:
    return (json.dumps(digests, indent=2, sort_keys=True) + "\n").encode()
