"""The one history: written once a part, each interaction once, the newest found again."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from features.history.partitions import count, is_empty, newest, without_known, write_part
from features.interaction import SCHEMA

MORNING = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def rows_of(*ids: str, customer: str | None = "c1", source: str = "shop") -> pa.Table:
    """Views with these ids, an hour after one another."""
    rows = [
        {
            "source": source,
            "interaction_id": each,
            "customer_id": customer,
            "anonymous_id": None if customer else "a1",
            "initiator": "CUSTOMER",
            "type": "view",
            "channel": "web",
            "event_time": MORNING + timedelta(hours=hour),
        }
        for hour, each in enumerate(ids)
    ]
    return pa.Table.from_pylist(rows, SCHEMA)


def held(root: Path, max_records: int = 100) -> list[tuple[str, str]]:
    """Customer key and interaction id of the newest, in no order."""
    batches = newest(root, max_records=max_records)
    rows = [row for batch in batches for row in batch.to_pylist()]
    return sorted((row["customer_key"], row["interaction_id"]) for row in rows)


def test_a_history_without_parts_is_empty(tmp_path: Path) -> None:
    assert is_empty(tmp_path)
    assert count(tmp_path) == 0
    assert held(tmp_path) == []


def test_a_part_lies_in_the_folders_of_its_days(tmp_path: Path) -> None:
    ids = [str(number) for number in range(20)]  # from 8:00 to 3:00 on the next day
    assert write_part(tmp_path, rows_of(*ids), part="p") == 20
    files = sorted(str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*.*"))
    assert files == ["date=2026-11-22/p.parquet", "date=2026-11-23/p.parquet"]
    assert count(tmp_path) == 20


def test_a_part_written_twice_is_written_once(tmp_path: Path) -> None:
    write_part(tmp_path, rows_of("1", "2"), part="p")
    write_part(tmp_path, rows_of("1", "2"), part="p")
    assert count(tmp_path) == 2
    write_part(tmp_path, rows_of("3"), part="q")
    assert count(tmp_path) == 3


def test_an_unfinished_file_is_no_part(tmp_path: Path) -> None:
    write_part(tmp_path, rows_of("1"), part="p")
    (tmp_path / "date=2026-11-22" / "q.unfinished").write_bytes(b"PAR1 cut off")
    assert count(tmp_path) == 1
    assert held(tmp_path) == [("c1", "1")]


def test_rows_already_held_are_known(tmp_path: Path) -> None:
    write_part(tmp_path, rows_of("1", "2"), part="p")
    fresh = without_known(tmp_path, rows_of("2", "3"))
    assert fresh["interaction_id"].to_pylist() == ["3"]


def test_the_same_id_of_another_source_is_another_interaction(tmp_path: Path) -> None:
    write_part(tmp_path, rows_of("1"), part="p")
    assert len(without_known(tmp_path, rows_of("1", source="app"))) == 1


def test_of_rows_that_repeat_an_id_the_first_stays(tmp_path: Path) -> None:
    fresh = without_known(tmp_path, rows_of("2", "1", "2"))
    assert fresh["interaction_id"].to_pylist() == ["2", "1"]
    assert fresh["event_time"].to_pylist()[0] == MORNING


def test_newest_keeps_each_customers_last(tmp_path: Path) -> None:
    write_part(tmp_path, rows_of("1", "2", "3"), part="p")
    write_part(tmp_path, rows_of("4", customer=None), part="q")
    assert held(tmp_path, max_records=2) == [("anonymous:a1", "4"), ("c1", "2"), ("c1", "3")]
