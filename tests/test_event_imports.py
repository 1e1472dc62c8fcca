"""Importing events of other systems: twice is once, and what is refused is told."""

import gzip
import json
from pathlib import Path

import pytest

from features.converters.event import Sender
from features.history.partitions import count
from features.readers.events import CONVERTERS
from features.readers.mapping import load_mapping
from features.readers.reading import UnreadableSourceError
from features.settings import Home
from tests.event_samples import PUT_EVENTS, SAMPLES, SEGMENT_CALL
from tests.imports import history, outcome, rejects, run_import

SENDER = Sender(source="shop")


@pytest.mark.parametrize("format", SAMPLES)
def test_importing_twice_is_importing_once(format: str, tmp_path: Path) -> None:
    path, home = tmp_path / "events.jsonl.gz", Home(tmp_path / "home")
    lines = [json.dumps(SAMPLES[format]), "{not json", json.dumps({"id": "\ud800"}), "[]"]
    with gzip.open(path, "wt") as file:
        file.write("\n".join(lines))
    first = run_import(path, home, format=format)
    again = run_import(path, home, format=format)
    number = len(CONVERTERS[format](SAMPLES[format], SENDER))
    assert outcome(first) == (number + 3, number, 0, 3)
    assert outcome(again) == (number + 3, 0, number, 3)
    assert count(home.history) == number
    assert [row for row, _, _ in rejects(first)] == ["2", "3", "4"]


def test_a_rejected_event_is_told_by_row_field_and_value(tmp_path: Path) -> None:
    path, home = tmp_path / "calls.jsonl", Home(tmp_path / "home")
    late = {**SEGMENT_CALL, "timestamp": "2999-01-01T00:00:00Z", "messageId": "2"}
    other = {**SEGMENT_CALL, "event": "Cart Viewed"}
    path.write_text("\n".join(map(json.dumps, [SEGMENT_CALL, other, late])))
    summary = run_import(path, home, format="segment")
    assert outcome(summary) == (5, 2, 0, 3)
    assert rejects(summary) == [
        ["2", "event", "'Cart Viewed'"],
        ["3", "event_time", "2999-01-01T00:00:00+00:00"],
        ["3", "event_time", "2999-01-01T00:00:00.004000+00:00"],
    ]


def test_what_events_do_not_say_is_set(tmp_path: Path) -> None:
    path, home = tmp_path / "events.jsonl", Home(tmp_path / "home")
    path.write_text(json.dumps(PUT_EVENTS))
    mapping = load_mapping(None, constants=["channel=app"])
    run_import(path, home, mapping, format="personalize")
    assert {row[0] for row in history(home, "channel")} == {"app"}
    with pytest.raises(UnreadableSourceError, match="only channel and currency can be set"):
        run_import(path, home, load_mapping(None, columns=["item_id=x"]), format="personalize")
