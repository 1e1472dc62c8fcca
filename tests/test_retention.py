"""Retention: how long each type is kept, and that nothing younger is touched."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from features.history.partitions import count, scan, write_part
from features.interaction import Interaction
from features.log.sqlite import SqliteLog
from features.privacy.retention import Retention, retain_offline
from features.record import tick
from features.settings import Home
from features.vocabulary import VocabularyError, load_vocabulary
from tests.interactions import interaction, table_of

NOW = datetime(2026, 11, 22, tzinfo=UTC)
RETENTION = Retention(NOW, load_vocabulary())
TYPES = (
    '{days}[types]\nview = {{ code = 1, initiator = "CUSTOMER", transaction = false, '
    "predicted = true, customer_value = 0.1, company_value = 0.0{view} }}\n"
)


def aged(number: int, days: float, type_name: str = "view") -> Interaction:
    """An interaction that is so many days old."""
    return interaction(number, type=type_name, event_time=NOW - timedelta(days=days))


ROWS = [
    aged(0, 731),  # views are kept for 730 days
    aged(1, 730),
    aged(2, 1),
    aged(3, 740, "purchase"),
    aged(4, 3651, "purchase"),  # everything else for 3650
    aged(5, 366, "impression"),  # and impressions for 365
    aged(6, 364, "impression"),
]
KEPT = [1, 2, 3, 6]
REMOVED = {"log": 0, "history": 0, "packed histories of the past": 0, "samples of decisions": 0}


def numbers(interactions: list[Interaction]) -> list[int]:
    return sorted(int(each.interaction_id) for each in interactions)


@pytest.mark.parametrize(
    ("days", "view", "expected"),
    [
        ("", "", (3650, 3650)),
        ("retention_days = 90\n", "", (90, 90)),
        ("retention_days = 90\n", ", retention_days = 30", (90, 30)),
        ("", ", retention_days = 0", (3650, 3650)),
        ("retention_days = 0\n", ", retention_days = 7", (3650, 7)),
    ],
)
def test_a_type_without_a_time_of_its_own_has_the_default(
    tmp_path: Path, days: str, view: str, expected: tuple[int, int]
) -> None:
    (tmp_path / "v.toml").write_text(TYPES.format(days=days, view=view))
    vocabulary = load_vocabulary(tmp_path / "v.toml")
    assert (vocabulary.retention_days, vocabulary.types["view"].retention_days) == expected


def test_retention_leaves_the_digest_alone(tmp_path: Path) -> None:
    digests = set()
    for days, view in (("", ""), ("retention_days = 9\n", ", retention_days = 3")):
        (tmp_path / "v.toml").write_text(TYPES.format(days=days, view=view))
        digests.add(load_vocabulary(tmp_path / "v.toml").digest)
    assert len(digests) == 1


@pytest.mark.parametrize("days", ["-1", "1.5", "true", "'week'", "36501"])
def test_a_time_that_cannot_be_meant_is_refused(tmp_path: Path, days: str) -> None:
    text = TYPES.format(days="", view=f", retention_days = {days}")
    (tmp_path / "v.toml").write_text(text)
    with pytest.raises(VocabularyError, match=r"type 'view': retention_days is .* 1 to 36500"):
        load_vocabulary(tmp_path / "v.toml")


def test_rows_and_interactions_are_judged_alike() -> None:
    assert numbers([each for each in ROWS if RETENTION.kept(each)]) == KEPT
    rows = table_of(ROWS)
    assert RETENTION.kept_rows(rows)["interaction_id"].to_pylist() == [str(n) for n in KEPT]
    young = table_of([ROWS[number] for number in KEPT])
    assert RETENTION.kept_rows(young) is young
    assert RETENTION.kept_rows(rows.slice(0, 0)).num_rows == 0


def test_a_type_that_is_no_longer_declared_has_the_default() -> None:
    assert RETENTION.kept(aged(0, 3649, "gone"))
    assert RETENTION.kept(aged(0, 3651, "gone")) is None
    assert RETENTION.aging.default_tick == tick(NOW - timedelta(days=3650))
    assert RETENTION.aging.first_ticks[1] == tick(NOW - timedelta(days=730))


def test_log_and_history_lose_what_is_past_its_time_and_nothing_else(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_part(home.history, table_of(ROWS[:4]), part="a")
    write_part(home.history, table_of(ROWS[4:]), part="b")
    untouched = {each: each.stat().st_mtime_ns for each in home.history.rglob("*.parquet")}
    with SqliteLog(home.log) as log:
        log.append([ROWS])
        assert retain_offline(home, log, RETENTION) == REMOVED | {"log": 3, "history": 3}
        assert numbers([each.interaction for each in log.read(after=0, limit=9)]) == KEPT
        assert retain_offline(home, log, RETENTION) == REMOVED
    assert count(home.history) == 4
    left = {each: each.stat().st_mtime_ns for each in home.history.rglob("*.parquet")}
    assert len(left) == 4  # one a day and part
    assert left.items() <= untouched.items()


def test_of_a_file_with_both_the_younger_rows_stay_as_they_were(tmp_path: Path) -> None:
    import duckdb

    home = Home(tmp_path)
    old = aged(0, 400, "impression")
    young = interaction(1, event_time=old.event_time, attributes={"size": "L"}, quantity=2.0)
    write_part(home.history, table_of([old, young]), part="a")
    with SqliteLog(home.log) as log:
        retain_offline(home, log, RETENTION)
    rows = duckdb.sql(f"FROM {scan(home.history)}").to_arrow_table()
    assert rows.cast(table_of([young]).schema) == table_of([young])
    assert isinstance(rows, pa.Table)
