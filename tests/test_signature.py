"""Signatures: a model serves only if a trusted key has signed it, where that is asked for."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from features.artefact import ArtefactError, verify, write_manifest
from features.settings import Home
from features.signature import KeyFileError, read_signing_key, read_trusted_keys
from features.vocabulary import load_vocabulary
from serving.__main__ import main as serve
from serving.model.champion import Champion
from serving.model.registry import Registry
from serving.settings import ServingSettings
from tests.artefacts import publish, write_artefact
from tests.authority import Authority
from tests.manifests import need
from tests.signing import write_pair
from training.__main__ import main as train
from training.publishing import Publisher
from training.rollback import Change, roll_back
from training.sealing import check_signing
from training.settings import TrainingError, TrainingSettings

VOCABULARY = load_vocabulary()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_artefact(tmp_path_factory.mktemp("made") / "artefact")


@pytest.fixture
def artefact(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "artefact")


def sign(artefact: Path, signing: Path) -> Path:
    write_manifest(artefact, read_signing_key(signing))
    return artefact


def refused(artefact: Path, trusted: Path) -> str:
    with pytest.raises(ArtefactError) as error:
        verify(artefact, VOCABULARY, trusted_keys=str(trusted))
    return str(error.value)


def test_who_trusts_the_key_takes_the_artefact(artefact: Path, tmp_path: Path) -> None:
    signing, trusted = write_pair(tmp_path)
    sign(artefact, signing)
    assert len((artefact / "manifest.sig").read_bytes()) == 64
    assert verify(artefact, VOCABULARY, trusted_keys=str(trusted)).item_count == 6
    assert verify(artefact, VOCABULARY).item_count == 6


def test_without_a_signature_it_is_refused_only_where_one_is_asked_for(
    artefact: Path, tmp_path: Path
) -> None:
    _, trusted = write_pair(tmp_path)
    told = f"{artefact}/manifest.sig is missing: a key of {trusted} must have signed"
    assert refused(artefact, trusted) == told
    assert verify(artefact, VOCABULARY).item_count == 6


def test_another_key_is_not_trusted(artefact: Path, tmp_path: Path) -> None:
    sign(artefact, write_pair(tmp_path, "theirs")[0])
    _, trusted = write_pair(tmp_path)
    told = f"{artefact}/manifest.sig is no signature of this manifest.json by a key of {trusted}"
    assert refused(artefact, trusted) == told


def test_what_is_changed_after_signing_is_refused_with_a_right_manifest_too(
    artefact: Path, tmp_path: Path
) -> None:
    signing, trusted = write_pair(tmp_path)
    sign(artefact, signing)
    signature = (artefact / "manifest.sig").read_bytes()
    (artefact / "popularity.json").write_text('{"": [5]}')
    assert "popularity.json does not match" in refused(artefact, trusted)
    write_manifest(artefact)
    assert not (artefact / "manifest.sig").exists()
    (artefact / "manifest.sig").write_bytes(signature)
    assert "no signature of this manifest.json" in refused(artefact, trusted)


@pytest.mark.parametrize("signature", [b"", b"x", bytes(64), bytes(65)])
def test_a_file_that_is_no_signature_is_refused(
    artefact: Path, tmp_path: Path, signature: bytes
) -> None:
    _, trusted = write_pair(tmp_path)
    (artefact / "manifest.sig").write_bytes(signature)
    assert "no signature of this manifest.json" in refused(artefact, trusted)


def test_while_keys_are_exchanged_both_are_trusted(artefact: Path, tmp_path: Path) -> None:
    (old, trust_old), (new, trust_new) = write_pair(tmp_path, "old"), write_pair(tmp_path, "new")
    both = tmp_path / "both.pem"
    both.write_text(f"until March\n{trust_old.read_text()}\nfrom March on\n{trust_new.read_text()}")
    for signing in (old, new):
        sign(artefact, signing)
        assert verify(artefact, VOCABULARY, trusted_keys=str(both)).item_count == 6
    both.write_bytes(trust_old.read_bytes())  # read anew each time
    assert "no signature of this manifest.json" in refused(artefact, both)


def test_a_pair_that_openssl_makes_signs_and_openssl_checks_it(
    artefact: Path, tmp_path: Path
) -> None:
    need("openssl")
    signing, trusted = tmp_path / "signing.pem", tmp_path / "trusted.pem"
    for command in (
        f"openssl genpkey -algorithm ed25519 -out {signing}",
        f"openssl pkey -in {signing} -pubout -out {trusted}",
    ):
        subprocess.run(command.split(), check=True, capture_output=True)
    sign(artefact, signing)
    assert verify(artefact, VOCABULARY, trusted_keys=str(trusted)).item_count == 6
    told = subprocess.run(
        f"openssl pkeyutl -verify -pubin -inkey {trusted} -rawin -in {artefact}/manifest.json "
        f"-sigfile {artefact}/manifest.sig".split(),
        check=True,
        capture_output=True,
    )
    assert b"Signature Verified Successfully" in told.stdout


def test_files_that_hold_no_such_keys_are_named(tmp_path: Path) -> None:
    signing, trusted = write_pair(tmp_path)
    other = tmp_path / "other.pem"
    for content, told in (
        (b"", "must hold public keys in PEM: there is none"),
        (signing.read_bytes(), "holds a private key: must be public keys"),
        (trusted.read_bytes() + Authority().server().certificate, "holds a certificate: must be"),
        (trusted.read_bytes().replace(b"MCow", b"MCox"), "holds a broken key"),
    ):
        other.write_bytes(content)
        with pytest.raises(KeyFileError, match=f"{other} {told}"):
            read_trusted_keys(other)
    with pytest.raises(KeyFileError, match=f"{trusted} must be a PEM file of a private key"):
        read_signing_key(trusted)
    with pytest.raises(KeyFileError, match=r"gone\.pem .*No such file"):
        read_signing_key(tmp_path / "gone.pem")
    other.write_bytes(Authority().server().key)
    with pytest.raises(KeyFileError, match="holds a key that is none of Ed25519"):
        read_signing_key(other)


# ---- Programs ----------------------------------------------------------------------------------


def test_serving_takes_what_is_signed_and_whoever_serves_goes_on_otherwise(
    artefact: Path, tmp_path: Path
) -> None:
    home, (signing, trusted) = Home(tmp_path / "home"), write_pair(tmp_path)
    settings = ServingSettings(home=home.path, trusted_keys=str(trusted))
    registry = Registry(settings, VOCABULARY)
    champion = Champion(registry.champion, registry.load, turns=home.turns)
    publish(home, sign(artefact, signing))
    first = asyncio.run(champion.after(None))
    assert first is not None and first.version == "1"
    assert registry.outline("1", "CPUExecutionProvider").version == "1"  # in front of an engine

    write_manifest(artefact)
    publish(home, artefact)
    assert asyncio.run(champion.after(first)) is None
    with pytest.raises(ArtefactError, match=r"manifest\.sig is missing"):
        registry.outline("2", "CPUExecutionProvider")


def test_nothing_is_rolled_back_to_that_would_be_refused(artefact: Path, tmp_path: Path) -> None:
    publisher, (signing, trusted) = Publisher(Home(tmp_path / "home")), write_pair(tmp_path)
    keys = str(trusted)
    for number in "123":
        write_manifest(artefact, read_signing_key(signing) if number == "1" else None)
        run_id = publisher.begin(f"run-{number}", {})
        publisher.crown(publisher.publish(run_id, artefact, artefact, {}))
    with pytest.raises(TrainingError, match=r"version is '2', .*manifest\.sig is missing"):
        roll_back(publisher, VOCABULARY, trusted_keys=keys)
    assert roll_back(publisher, VOCABULARY, "1", trusted_keys=keys) == Change("3", "1")


def test_a_training_that_nobody_would_serve_does_not_begin(tmp_path: Path) -> None:
    signing, trusted = write_pair(tmp_path)
    theirs, _ = write_pair(tmp_path, "theirs")
    check_signing(TrainingSettings(signing_key=str(signing)), str(trusted))
    check_signing(TrainingSettings(signing_key=str(theirs)), "")
    for given, told in ((str(theirs), "theirs.pem"), ("", "")):
        with pytest.raises(TrainingError, match=rf"signing-key is '.*{told}': must be the file"):
            check_signing(TrainingSettings(signing_key=given), str(trusted))


def test_programs_do_not_start_with_a_file_that_holds_no_keys(tmp_path: Path) -> None:
    none = tmp_path / "none.pem"
    none.write_text(json.dumps({}))
    told = CliRunner().invoke(serve, ["--insecure", "--trusted-keys", str(none)])
    assert told.exit_code == 1
    assert f"Error: {none} must hold public keys in PEM: there is none" in told.output
    failed = CliRunner().invoke(train, ["train", "--signing-key", str(none)])
    assert isinstance(failed.exception, KeyFileError)
    assert str(failed.exception).startswith(f"{none} must be a PEM file of a private key")
