"""The durable log: idempotent, atomic, and still there after a kill."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from features.item import Item
from features.log import Appended, LogError
from features.log_sqlite import SqliteLog
from tests.interactions import interaction


def test_what_is_appended_is_read_in_order(tmp_path: Path) -> None:
    written = [
        interaction(2, attributes={"size": "L"}, position=3, quantity=2.0),
        interaction(1, customer_id=None, anonymous_id="cookie", item_id=None),
    ]
    with SqliteLog(tmp_path / "log.db") as log:
        assert log.append([written]) == [Appended(2, 0)]
        entries = log.read(after=0, limit=10)
        assert [entry.interaction for entry in entries] == written
        assert [entry.position for entry in entries] == [1, 2]
        assert log.read(after=1, limit=10) == entries[1:]
        assert log.last_position() == 2


def test_writing_twice_is_writing_once(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log.db") as log:
        first, again = [interaction(1)], [interaction(1, type="purchase"), interaction(2)]
        assert log.append([first, again]) == [Appended(1, 0), Appended(1, 1)]
        assert log.append([[interaction(2), interaction(2, source="other")]]) == [Appended(1, 1)]
        assert [entry.interaction.type for entry in log.read(after=0, limit=9)] == ["view"] * 3


def test_a_failed_append_leaves_nothing(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log.db") as log:
        log.append([[interaction(1)]])
        with pytest.raises(LogError, match="cannot be written"):
            log.append([[interaction(2)], [interaction(3, source=None)]])
        assert log.last_position() == 1
        assert log.append([[interaction(2)]]) == [Appended(1, 0)]


def test_a_full_disk_acknowledges_nothing_and_recovers(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log.db") as log:
        log.append([[interaction(1)]])
        pages = log._database.execute("PRAGMA page_count").fetchone()[0]
        log._database.execute(f"PRAGMA max_page_count = {pages}")  # SQLITE_FULL from here on
        with pytest.raises(LogError, match="full"):
            log.append([[interaction(n, session_id="s" * 100) for n in range(2, 900)]])
        log._database.execute("PRAGMA max_page_count = 1000000")
        assert log.append([[interaction(2)]]) == [Appended(1, 0)]
        assert len(log.read(after=0, limit=99)) == 2


WRITER = """
import sys
from pathlib import Path
from features.log_sqlite import SqliteLog
from tests.interactions import interaction
log = SqliteLog(Path(sys.argv[1]))
for number in range(100_000):
    log.append([[interaction(number)]])
    print(number, flush=True)
"""


def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "log.db")], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    acknowledged = [int(writer.stdout.readline()) for _ in range(50)]
    os.kill(writer.pid, signal.SIGKILL)
    acknowledged += [int(line) for line in writer.stdout.read().split()]
    writer.stdout.close()
    writer.wait()
    with SqliteLog(tmp_path / "log.db") as log:
        held = [int(e.interaction.interaction_id) for e in log.read(after=0, limit=100_000)]
    assert set(acknowledged) <= set(held)
    assert held == list(range(len(held)))


def test_it_syncs_each_commit_to_disk(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log.db") as log:
        assert log._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert log._database.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_the_catalog_keeps_items_whole(tmp_path: Path) -> None:
    tea = Item(item_id="tea", name="Tea", price=2.5, currency="EUR", tags=("warm", "new"))
    with SqliteLog(tmp_path / "log.db") as log:
        log.upsert_items([tea, Item(item_id="mug", unavailable=True)])
        assert log.get_item("tea") == tea
        assert list(log.items()) == [Item(item_id="mug", unavailable=True), tea]
        assert log.delete_items(["tea", "tea", "never"]) == ["tea"]
        assert log.get_item("tea") is None
        assert log.changed_items(after=2, limit=9) == [(3, "tea")]


def test_another_process_reads_what_one_writes(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log.db") as writer, SqliteLog(tmp_path / "log.db") as reader:
        assert writer.log_id == reader.log_id
        writer.append([[interaction(1)]])
        assert reader.last_position() == 1


def test_a_file_that_is_no_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.db").write_text(
        "not a database, but longer than a header of one hundred bytes" * 9
    )
    with pytest.raises(LogError, match="cannot be opened as a log"):
        SqliteLog(tmp_path / "log.db")
