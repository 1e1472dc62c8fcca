"""Importing: every row is accepted, a duplicate, or rejected with its reason; order survives."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from features.catalog_parts import read_items, write_items
from features.history.importing import import_reading
from features.history.partitions import count
from features.readers.formats import guess
from features.readers.reading import (
    Chunk,
    Reading,
    UnreadableSourceError,
    as_items,
    in_chunks,
    in_file_order,
)
from features.settings import Home
from tests.imports import NOW, VOCABULARY, outcome, run_import, tmall_folder
from tests.interactions import interaction, table_of


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_a_second_import_finds_only_duplicates(tmp_path: Path, home: Home) -> None:
    rows = ["1,9,0,6-4", "1,9,0,6-4", "2,9,1,6-5"]
    run_import(tmall_folder(tmp_path / "t", *rows), home)
    again = run_import(tmall_folder(tmp_path / "t", *rows, "3,9,0,6-6"), home)
    assert outcome(again) == (4, 1, 3, 0)
    assert count(home.history) == 4


def test_a_clean_import_takes_the_reject_file_away(tmp_path: Path, home: Home) -> None:
    folder = tmp_path / "t"
    first = run_import(tmall_folder(folder, "1,9,5,6-4"), home)
    assert run_import(tmall_folder(folder, "1,9,0,6-4"), home).reject_file is None
    assert first.reject_file is not None
    assert not first.reject_file.exists()


def test_sources_that_cannot_be_read_are_named(tmp_path: Path, home: Home) -> None:
    (tmp_path / "interactions.csv.gz").write_bytes(b"\x1f\x8bcut")
    (tmp_path / "online_retail.parquet").write_bytes(b"PAR1")
    for name in ("interactions.csv.gz", "online_retail.parquet", "missing.csv"):
        with pytest.raises(UnreadableSourceError, match=name):
            run_import(tmp_path / name, home)
    with pytest.raises(UnreadableSourceError, match="--format with one of tmall, online-retail"):
        guess(tmp_path)


def test_rows_of_one_time_stay_in_order_across_chunks() -> None:
    minute = datetime(2026, 1, 1, 10, 0, tzinfo=UTC)
    precise = minute + timedelta(milliseconds=1)
    seen: dict = {}
    customers = pa.array(["a", "b", "a", None])
    times = pa.array([minute, minute, minute, None], pa.timestamp("us", tz="UTC"))
    first = in_file_order(customers, times, seen).to_pylist()
    second = in_file_order(
        pa.array(["a", "a", "a"]), pa.array([minute, precise, precise]), seen
    ).to_pylist()
    tick = timedelta(milliseconds=4)
    assert first == [minute, minute, minute + tick, None]
    assert second == [minute + 2 * tick, precise, precise]


def test_an_import_that_was_cut_off_is_done_again(home: Home, tmp_path: Path) -> None:
    rows = table_of([interaction(number) for number in range(4)])

    def interrupted() -> Iterator[Chunk]:
        yield from in_chunks(rows.slice(0, 2), np.array([1, 2]), tmp_path)
        raise KeyboardInterrupt

    no_items = as_items({"item_id": pa.array([], pa.string())})
    with pytest.raises(KeyboardInterrupt):
        reading = Reading("test", tmp_path, interrupted(), lambda: no_items)
        import_reading(reading, home, vocabulary=VOCABULARY, now=NOW)
    assert list(home.rejects.iterdir()) == []
    whole = Reading(
        "test", tmp_path, in_chunks(rows, np.array([1, 2, 3, 4]), tmp_path), lambda: no_items
    )
    summary = import_reading(whole, home, vocabulary=VOCABULARY, now=NOW)
    assert summary.accepted + summary.duplicate == 4
    assert count(home.history) == 4


def items(**names: str) -> pa.Table:
    return as_items({"item_id": pa.array(list(names)), "name": pa.array(list(names.values()))})


def test_of_items_the_newest_part_wins(home: Home) -> None:
    assert write_items(home, items(a="Old", b="Shoe")) == 2
    assert write_items(home, items(a="New", b="Shoe")) == 1
    assert write_items(home, items(a="", b="")) == 0  # nothing known: replaces nothing
    assert read_items(home)["name"].to_pylist() == ["New", "Shoe"]


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    whole = [sys.executable, "-m", "features", "import", *map(str, arguments)]
    return subprocess.run(whole, capture_output=True, text=True, check=False)


def test_the_command_prints_what_became_of_the_rows(tmp_path: Path, home: Home) -> None:
    folder = tmall_folder(tmp_path / "t", "1,9,0,6-4", "1,9,5,6-4")
    done = command(folder, "--home", home.path)
    assert done.returncode == 0
    assert "accepted                             1\n" in done.stdout
    assert "rejected                             1\n" in done.stdout
    assert str(home.rejects / "tmall-t.csv") in done.stdout
    missing = command(tmp_path / "nothing", "--home", home.path)
    assert missing.returncode == 1
    assert missing.stderr == f"Error: {tmp_path / 'nothing'} does not exist\n"
