"""The durable log, embedded and in NATS: idempotent, atomic, and still there after a kill."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from features.interaction import Interaction
from features.item import Item
from features.log.contract import Appended, ItemChange, Log, LogError, TooLargeError, open_log
from features.log.message import decode, encode
from features.log.nats import NatsLog
from features.log.sqlite import SqliteLog
from features.settings import FeatureSettings
from tests.interactions import interaction
from tests.nats_server import NatsServer


@pytest.fixture
def log(settings: FeatureSettings) -> Iterator[Log]:
    """An empty log of either kind."""
    with open_log(settings) as opened:
        yield opened


def test_what_is_appended_is_read_in_order(log: Log) -> None:
    written = [
        interaction(2, attributes={"size": "L"}, position=3, quantity=2.0, amount=0.0),
        interaction(1, customer_id=None, anonymous_id="cookie", item_id=None),
    ]
    assert log.append([written]) == [Appended(2, 0)]
    (later,) = log.append([[interaction(3)]])
    entries = log.read(after=0, limit=10)
    assert [entry.interaction for entry in entries] == [*written, interaction(3)]
    assert entries[2].position == log.last_position() == later.position
    assert log.read(after=entries[1].position, limit=10) == entries[2:]
    assert log.read(after=0, limit=2) == entries[:2]
    assert log.read(after=later.position, limit=2) == []


def test_reading_goes_on_where_it_ended(log: Log) -> None:
    assert log.read(after=0, limit=3) == []
    log.append([[interaction(1)]])
    log.append([[interaction(2)]])
    first = log.read(after=0, limit=1)
    log.append([[interaction(3)]])
    rest = log.read(after=first[0].position, limit=10)
    assert [each.interaction.interaction_id for each in first + rest] == ["1", "2", "3"]
    assert log.read_at([each.position for each in rest] + [99]) == rest


def test_writing_twice_at_once_is_writing_once(log: Log) -> None:
    first, again = [interaction(1)], [interaction(1, type="purchase"), interaction(2)]
    assert log.append([first, again]) == [Appended(1, 0), Appended(1, 1)]
    assert log.append([[], [interaction(3)]]) == [Appended(0, 0), Appended(1, 0)]
    assert [entry.interaction.type for entry in log.read(after=0, limit=9)] == ["view"] * 3


def test_the_catalog_keeps_items_whole(log: Log) -> None:
    tea = Item(item_id="tea ü*", name="Tea", price=2.5, currency="EUR", tags=("warm", "new"))
    free = Item(item_id="mug", price=0.0, currency="EUR", unavailable=True)
    log.upsert_items([tea, free])
    assert log.get_item("tea ü*") == tea
    assert list(log.items()) == [free, tea]
    seen = log.last_item_change()
    assert log.delete_items(["tea ü*", "tea ü*", "never"]) == ["tea ü*"]
    assert log.get_item("tea ü*") is None
    assert log.changed_items(after=seen, limit=9) == [ItemChange(seen + 1, "tea ü*", None)]
    assert [each.item for each in log.changed_items(after=0, limit=9)] == [free, None]
    assert log.changed_items(after=seen + 1, limit=9) == []
    assert list(log.items()) == [free]


def test_parts_and_the_drained_position_are_kept(log: Log, settings: FeatureSettings) -> None:
    assert (log.loaded_parts(), log.drained_position()) == (set(), 0)
    log.upsert_items([], part="00000001-ab.parquet")
    log.note_drained(7)
    log.note_drained(12)
    with open_log(settings) as again:
        assert (again.loaded_parts(), again.drained_position()) == ({"00000001-ab.parquet"}, 12)


def test_what_is_rewritten_is_gone_and_the_rest_stays(log: Log) -> None:
    rows = [interaction(n, customer_id=name) for n, name in enumerate(["ada", "bob", "ada", "eve"])]
    log.append([rows[:2], rows[2:]])
    log.append([[interaction(9, customer_id=None, anonymous_id="x")]])
    last = log.read(after=0, limit=9)[-1].interaction
    assert log.interactions_of("ada", ["x"]) == [rows[0], rows[2], last]
    without_session = replace(rows[3], session_id="s")

    def kept(each: Interaction) -> Interaction | None:
        if each.customer_id == "eve":
            return without_session
        return None if each.customer_id == "ada" else each

    assert log.rewrite(kept) == 3
    assert log.interactions_of("ada", []) == []
    left = {each.interaction.interaction_id for each in log.read(after=0, limit=9)}
    assert left == {"1", "3", "9"}
    assert log.interactions_of("eve", []) == [without_session]


def test_the_newest_erasure_of_a_name_is_kept(log: Log) -> None:
    assert log.erasures() == {}
    for name, tick in (("a", 5), ("b", 7), ("a", 3), ("b", 9)):
        log.note_erasure(name, tick)
    assert log.erasures() == {"a": 5, "b": 9}


def test_another_process_reads_what_one_writes(log: Log, settings: FeatureSettings) -> None:
    with open_log(settings) as reader:
        assert reader.log_id == log.log_id
        log.append([[interaction(1)]])
        assert reader.last_position() == 1


WRITER = """
import sys
from pathlib import Path
from features.log.contract import open_log
from features.settings import FeatureSettings
from tests.interactions import interaction
log = open_log(FeatureSettings(home=Path(sys.argv[1]), log_url=sys.argv[2]))
for number in range(100_000):
    log.append([[interaction(number)]])
    print(number, flush=True)
"""


def test_a_kill_loses_nothing_that_was_acknowledged(settings: FeatureSettings) -> None:
    command = [sys.executable, "-c", WRITER, str(settings.home), settings.log_url]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    acknowledged = [int(writer.stdout.readline()) for _ in range(50)]
    os.kill(writer.pid, signal.SIGKILL)
    acknowledged += [int(line) for line in writer.stdout.read().split()]
    writer.stdout.close()
    writer.wait()
    with open_log(settings) as log:
        held = [int(e.interaction.interaction_id) for e in log.read(after=0, limit=100_000)]
    assert set(acknowledged) <= set(held)
    assert held == list(range(len(held)))


def test_a_file_keeps_each_id_once(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log.db") as log:
        log.append([[interaction(1), interaction(2)]])
        assert log.append([[interaction(2), interaction(2, source="other")]]) == [Appended(1, 1)]
        assert len(log.read(after=0, limit=9)) == 3


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


def test_it_syncs_each_commit_to_disk(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log.db") as log:
        assert log._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert log._database.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_a_file_that_is_no_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.db").write_text(
        "not a database, but longer than a header of one hundred bytes" * 9
    )
    with pytest.raises(LogError, match="cannot be opened as a log"):
        SqliteLog(tmp_path / "log.db")


def test_what_is_too_large_for_nats_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with NatsServer(tmp_path, max_payload=2000) as server, NatsLog(server.url) as log:
        random = [os.urandom(600).hex() for _ in range(3)]
        large = [interaction(n, attributes={"a": text}) for n, text in enumerate(random)]
        with pytest.raises(TooLargeError, match=r"bytes; the log takes 1,744 at once"):
            log.append([[interaction(9)], large])
        assert log.last_position() == 0
        assert log.append([[each] for each in large]) == [Appended(1, 0)] * 3
        assert [each.interaction for each in log.read(after=0, limit=9)] == large


def test_nats_that_is_down_is_named_and_comes_back(tmp_path: Path) -> None:
    server = NatsServer(tmp_path).start()
    with NatsLog(server.url) as log:
        log.append([[interaction(1)]])
        log.upsert_items([Item(item_id="mug")])
        assert len(log.read(after=0, limit=9)) == 1
        log_id = log.log_id
        server.stop(signal.SIGKILL)
        for call in (lambda: log.append([[interaction(2)]]), log.last_position):
            with pytest.raises(LogError, match=f"NATS at {server.url} cannot be used: Connection"):
                call()
        with pytest.raises(LogError, match="cannot be used"):
            NatsLog(server.url)
        server.start()
        again = append_until_it_succeeds(log)
        # What the client had sent when the server was killed may still arrive.
        assert [each.interaction.interaction_id for each in again][:2] == ["1", "2"]
        assert {each.interaction.interaction_id for each in again} == {"1", "2"}
        assert log.get_item("mug") == Item(item_id="mug")
    with NatsLog(server.url) as log:
        assert log.log_id == log_id
    server.stop()


def append_until_it_succeeds(log: Log) -> list:  # type: ignore[type-arg]
    """It connects again by itself."""
    while True:
        try:
            log.append([[interaction(2)]])
            return log.read(after=0, limit=9)
        except LogError:
            continue


def test_nats_that_is_frozen_is_waited_for_in_vain_but_not_forever(tmp_path: Path) -> None:
    with NatsServer(tmp_path) as server, NatsLog(server.url) as log:
        log.append([[interaction(1)]])
        server.freeze()
        with pytest.raises(LogError, match="TimeoutError"):
            log.append([[interaction(2)]])
        server.thaw()
        assert log.append([[interaction(2)]]) == [Appended(1, 0)]


def test_a_message_is_compact_and_whole() -> None:
    written = [interaction(1, attributes={"a": "ü"}, amount=2.5, currency="EUR", position=0)]
    message = encode(written)
    assert message.decode() == (
        '[{"source":"test","interaction_id":"1","customer_id":"ada","initiator":"CUSTOMER",'
        '"type":"view","channel":"web","item_id":"i1","amount":2.5,"currency":"EUR","position":0,'
        '"attributes":{"a":"ü"},"event_time":1767225601000000}]'
    )
    assert decode(message) == written
    many = [interaction(n) for n in range(500)]
    assert len(encode(many)) < 10_000
    assert decode(encode(many)) == many
    with pytest.raises(ValueError, match="holds no interactions"):
        decode(b"{}")
