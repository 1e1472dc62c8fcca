"""Faults of whose a model is: whole and sound, but unsigned, or signed by somebody else."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.composed import started
from benchmarks.fault.artefacts import LOOK_S, LOOKS_S, copy_of_champion, crown
from benchmarks.fault.scene import Scene
from benchmarks.fault.traffic import Traffic, failed
from benchmarks.fault.trial import Fault, Seen, all_of, none_of
from features.artefact import write_manifest
from features.manifest import SIGNATURE
from features.settings import Home
from features.signature import read_signing_key
from training.publishing import Publisher

Forge = Callable[[Path, Ed25519PrivateKey], None]


def faults() -> list[Fault]:
    """Of a model's signature."""
    return [
        Fault(
            "artefact-forged",
            "a server under load trusts one key; champions, whole and with right manifests: "
            "unsigned, signed by another key, changed after they were signed, signed by bytes",
            "all refused, the signed model serves, 0 failed calls, the next signed one is taken up",
            _forged,
        )
    ]


def _forged(scene: Scene) -> Seen:
    with scene.home() as home:
        key, trusted = _pair(home.parent)
        publisher = Publisher(Home(home))
        champion = publisher.champion()
        assert champion is not None  # see prepare()

        def publish(name: str, forge: Forge) -> str:
            directory = copy_of_champion(home.parent / name)
            forge(directory, key)
            return crown(publisher, directory, champion.version)

        signed = publish("signed", write_manifest)
        with (
            started(home, "--refresh-s", str(LOOK_S), "--trusted-keys", str(trusted)) as server,
            Traffic(server.address, customers=scene.customers) as traffic,
        ):
            for name, forge in FORGERIES.items():
                publish(name, forge)
                time.sleep(LOOKS_S)
            refused_time, told = time.monotonic(), server.complained()
            sound = publish("sound", write_manifest)
            taken_time = traffic.until(lambda answer: answer.version == sound)
    others = sum(each.version not in ("", signed) for each in traffic.between(0, refused_time))
    return Seen(
        [
            all_of("refused for their signature", told.count(SIGNATURE), len(FORGERIES)),
            *failed(traffic.answers),
            none_of("answers of another model", others),
            none_of("signed ones not taken up within 30 s", int(taken_time == float("inf"))),
        ]
    )


def _pair(folder: Path) -> tuple[Ed25519PrivateKey, Path]:
    """Made as the README says."""
    signing, trusted = folder / "signing.pem", folder / "trusted.pem"
    for command in (
        ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(signing)],
        ["openssl", "pkey", "-in", str(signing), "-pubout", "-out", str(trusted)],
    ):
        subprocess.run(command, check=True, capture_output=True)
    return read_signing_key(signing), trusted


# ---- Forgeries ---------------------------------------------------------------------------------


def _unsigned(directory: Path, key: Ed25519PrivateKey) -> None:
    write_manifest(directory)


def _by_another(directory: Path, key: Ed25519PrivateKey) -> None:
    write_manifest(directory, Ed25519PrivateKey.generate())


def _changed(directory: Path, key: Ed25519PrivateKey) -> None:
    """The signature is of what it was before."""
    write_manifest(directory, key)
    signature = (directory / SIGNATURE).read_bytes()
    (directory / "popularity.json").write_text('{"": [0]}\n')
    write_manifest(directory)
    (directory / SIGNATURE).write_bytes(signature)


def _of_bytes(directory: Path, key: Ed25519PrivateKey) -> None:
    write_manifest(directory)
    (directory / SIGNATURE).write_bytes(bytes(64))


FORGERIES: dict[str, Forge] = {
    "unsigned": _unsigned,
    "by-another": _by_another,
    "changed": _changed,
    "of-bytes": _of_bytes,
}
