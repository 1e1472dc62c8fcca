"""The access file: what is wrong in it is told by line, and no value of it ever."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from serving.access.__main__ import main
from serving.access.callers import Caller, Callers, Stranger
from serving.access.declaration import AccessError, AccessFile
from serving.access.keys import hash_of, holder, new_key

HASH = hash_of("interplay_secret")
GOOD = f"""
callers:
  - name: web-shop
    roles: [frontend]
    channels: [web]
    keys: [{{sha256: {HASH}, expires: 2026-12-01}}]
    rate: {{per_s: 10, burst: 5}}
"""


def faults_of(path: Path, text: str, *, tenant: str = "") -> list[str]:
    """What is said of a file, without the path."""
    path.write_text(text)
    with pytest.raises(AccessError) as raised:
        AccessFile(path, tenant=tenant).changed()
    return str(raised.value).replace(f"{path}:", "").replace(str(path), "FILE").split("\n")


def test_a_file_is_read_once_and_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "access.yaml"
    path.write_text(GOOD)
    file = AccessFile(path, tenant="")
    declared = file.changed()
    assert declared is not None
    (caller,) = declared[0].callers
    assert (caller.name, caller.channels) == ("web-shop", ["web"])
    assert caller.keys[0].expires == date(2026, 12, 1)
    assert file.changed() is None
    path.write_text(GOOD.replace("web-shop", "web-shop-2"))
    again = file.changed()
    assert again is not None and again[0].callers[0].name == "web-shop-2"
    path.unlink()
    with pytest.raises(AccessError, match="cannot be read"):
        file.changed()
    assert file.changed() is None  # it has been said


def test_every_fault_is_told_with_its_line_and_without_its_value(tmp_path: Path) -> None:
    text = """
tenant: other
callers:
  - name: web
    roles: [frontend, king]
    keys: [{sha256: interplay_this-is-the-key}]
    password: interplay_this-too
  - name: Web
    roles: []
    certificates: ["https://interplay/web"]
"""
    told = faults_of(tmp_path / "access.yaml", text)
    assert [each.split(":")[:2] for each in told] == [
        ["5", " callers.0.roles.1"],
        ["6", " callers.0.keys.0.sha256"],
        ["7", " callers.0.password"],
        ["8", " callers.1.name"],
        ["9", " callers.1.roles"],
        ["10", " callers.1.certificates.0"],
    ]
    assert "interplay_" not in "\n".join(told)
    assert faults_of(tmp_path / "access.yaml", "callers: [interplay_key") == [
        "FILE is no access file: expected ',' or ']', but got '<stream end>' in line 1"
    ]


def test_what_does_not_fit_together_is_told(tmp_path: Path) -> None:
    text = f"""
tenant: shop
callers:
  - {{name: a, roles: [frontend], keys: [{{sha256: {HASH}}}]}}
  - {{name: a, roles: [catalog], keys: [{{sha256: {HASH}}}]}}
  - {{name: b, roles: [operator]}}
  - {{name: c, roles: [operator], subjects: [robot]}}
"""
    told = faults_of(tmp_path / "access.yaml", text, tenant="store")
    assert [each.partition(": ")[2].replace(HASH, "HASH") for each in told] == [
        "callers.0.name is 'a': needs channels to speak for",
        "callers.1.name is 'a': stands twice: a has it",
        "callers.1.keys is 'HASH': stands twice: a has it",
        "callers.2.name is 'b': needs keys, certificates or subjects",
        "callers.3.name is 'c': has subjects, which needs the section tokens",
        "tenant is 'shop': must be the --tenant of the server, 'store'",
    ]


def test_a_rate_survives_a_change_of_other_things(tmp_path: Path) -> None:
    path = tmp_path / "access.yaml"
    path.write_text(GOOD)
    file = AccessFile(path, tenant="")
    first = Callers(*file.changed() or ())
    path.write_text(GOOD.replace("[web]", "[web, app]"))
    second = Callers(*file.changed() or (), before=first)
    path.write_text(GOOD.replace("burst: 5", "burst: 6"))
    third = Callers(*file.changed() or (), before=second)
    name = ("caller", "web-shop")
    assert second.buckets[name] is first.buckets[name]
    assert third.buckets[name] is not second.buckets[name]


def test_a_key_is_found_by_its_hash_alone() -> None:
    keys = [new_key() for _ in range(3)]
    held = [(hash_of(each), at) for at, each in enumerate(keys)]
    assert [holder(hash_of(each), held) for each in keys] == [0, 1, 2]
    assert holder(hash_of(keys[1][:-1]), held) is None
    assert len(set(keys)) == 3 and min(map(len, keys)) == 53


def test_the_command_makes_a_key_that_its_line_accepts(tmp_path: Path) -> None:
    made = CliRunner().invoke(main, ["key", "--name", "web", "--expires", "2030-01-01"])
    key = made.stdout.strip()
    assert key not in made.stderr
    (line,) = [each for each in made.stderr.splitlines() if "sha256" in each]
    path = tmp_path / "access.yaml"
    path.write_text(
        f"callers:\n  - name: web\n    roles: [catalog]\n    keys:\n    {line.strip()}\n"
    )
    declared = AccessFile(path, tenant="").changed()
    assert declared is not None
    assert declared[0].callers[0].keys[0].sha256 == hash_of(key)
    shown = CliRunner().invoke(main, ["check", str(path)])
    assert shown.output == "web: catalog; no channel; 1 keys, 0 certificates\n"
    path.write_text("callers: []")
    assert CliRunner().invoke(main, ["check", str(path)]).exit_code == 1


def test_a_day_of_expiry_begins_at_midnight_in_utc(tmp_path: Path) -> None:
    path, key = tmp_path / "access.yaml", new_key()
    path.write_text(GOOD.replace(HASH, hash_of(key)))
    callers = Callers(*AccessFile(path, tenant="").changed() or ())
    end_s = datetime(2026, 12, 1, tzinfo=UTC).timestamp()
    before, after = (callers.holder(key, at_s) for at_s in (end_s - 1, end_s))
    assert isinstance(before, Caller) and before.name == "web-shop"
    assert after is Stranger.EXPIRED
