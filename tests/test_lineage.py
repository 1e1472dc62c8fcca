"""Lineage: the same training has the same name, and what differs is listed setting by setting."""

import dataclasses
import json
import re
from datetime import UTC, datetime

from features.vocabulary import load_vocabulary
from tests.sequences import SPLIT
from training.data.split import Snapshot
from training.lineage import commit, differing, lineage_of, name_of
from training.settings import TrainingSettings

SNAPSHOT = Snapshot(
    rows=10,
    learnt_rows=9,
    newest_time=datetime(2026, 4, 10, tzinfo=UTC),
    parts_digest="abc",
    split=SPLIT,
)


def lineage(snapshot: Snapshot = SNAPSHOT, **changes: object) -> dict[str, str]:
    names = {"parent": "1", "start": ""} | {
        key: str(changes.pop(key)) for key in ("parent", "start") if key in changes
    }
    settings = TrainingSettings(**changes)  # type: ignore[arg-type]
    return lineage_of(snapshot, load_vocabulary(), settings, **names)


def test_it_names_data_code_features_settings_and_parents() -> None:
    given = lineage(width=16)
    assert given["interactions"] == "10"
    assert given["newest_time"] == "2026-04-10T00:00:00+00:00"
    assert given["test_time"] == "2026-03-22T00:00:00+00:00"
    assert given["validation_time"] == "2026-03-12T00:00:00+00:00"
    assert given["history_parts"] == "abc"
    assert given["features"].endswith(load_vocabulary().digest)
    assert json.loads(given["settings"])["width"] == 16
    assert (given["parent"], given["start"]) == ("1", "")


def test_the_same_training_has_the_same_name_whoever_reigns() -> None:
    assert name_of(lineage()) == name_of(lineage(parent="7"))
    assert re.fullmatch("run-[0-9a-f]{12}", name_of(lineage()))


def test_other_data_settings_or_weights_have_another_name() -> None:
    other_data = dataclasses.replace(SNAPSHOT, parts_digest="def")
    made = [lineage(), lineage(other_data), lineage(seed=2), lineage(start="1")]
    names = [name_of(each) for each in made]
    assert len(set(names)) == 4


def test_with_another_key_to_sign_with_it_is_the_same_training() -> None:
    assert name_of(lineage(signing_key="key.pem")) == name_of(lineage())


def test_what_differs_is_listed_setting_by_setting() -> None:
    assert differing(lineage(), lineage()) == []
    found = differing(lineage(width=16), lineage(width=32, parent="2"))
    assert found == [("parent", "1", "2"), ("--width", "16", "32")]
    assert ("code", "", lineage()["code"]) in differing({}, lineage())


def test_the_commit_is_that_of_the_checkout_or_nothing() -> None:
    assert re.fullmatch(r"([0-9a-f]{12}(-dirty)?)?", commit())
