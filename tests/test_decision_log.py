"""The decision log, embedded and in NATS: written aside, found again, drained, kept as allowed."""

import threading
from collections.abc import Iterator
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import duckdb
import numpy as np
import pytest

from features.decisions.contract import (
    Stream,
    encode,
    messages,
    open_stream,
    read_logged,
    rows_of,
)
from features.decisions.decision import (
    FIRST_COLUMNS,
    SCHEMA,
    Candidates,
    LoggedDecision,
    decisions_of,
    new_decision_id,
    table_of,
    time_of,
)
from features.decisions.draining import drain_decisions
from features.decisions.finding import find_decision
from features.decisions.parts import append, parts, scan_of
from features.decisions.privacy import forget_decisions, retain_decisions
from features.decisions.reading import read_decisions
from features.decisions.sqlite import SqliteStream
from features.decisions.writer import DecisionWriter
from features.log.contract import LogError, open_log
from features.privacy.erasure import Erasures, erased_name
from features.record import tick
from features.settings import FeatureSettings, Home
from tests.decided import NOON, candidates, decided


@pytest.fixture
def stream(settings: FeatureSettings) -> Iterator[Stream]:
    """An empty decision log of either kind."""
    with open_stream(settings) as opened:
        yield opened


def ids(decisions: list[LoggedDecision]) -> list[str]:
    return [each.decision_id for each in decisions]


def same(one: LoggedDecision, other: LoggedDecision) -> bool:
    names = [each.name for each in fields(LoggedDecision) if each.name != "candidates"]
    plain = all(getattr(one, name) == getattr(other, name) for name in names)
    arrays = (
        np.array_equal(getattr(one.candidates, each.name), getattr(other.candidates, each.name))
        for each in fields(Candidates)
    )
    return plain and all(arrays)


def test_a_decision_comes_back_as_it_was_logged() -> None:
    silent = decided(
        1,
        customer_key=None,
        reason="low-value",
        detail="budget",
        filter='brand == "Alpina"',
        asked_item_ids=["apple"],
        removed={"filter": 3, "excluded": 1},
        history_newest_time=NOON,
        candidates=candidates((), joint=()),
    )
    written = [decided(), silent]
    read = decisions_of(rows_of(encode(written)))
    assert all(same(*both) for both in zip(written, read, strict=True))
    assert len(decisions_of(table_of([]))) == 0


def test_an_id_says_when_it_was_decided_and_no_two_are_alike() -> None:
    assert time_of(new_decision_id(1_000)) == NOON.fromtimestamp(1, NOON.tzinfo)
    assert new_decision_id(1_000) != new_decision_id(1_000)
    assert len(new_decision_id()) == 32
    assert [time_of(each) for each in ("", "d-17", "0" * 31, "g" * 32, "00 " * 11)] == [None] * 5
    assert time_of("f" * 32) is not None


def test_what_is_appended_is_read_in_order(stream: Stream) -> None:
    assert list(read_logged(stream)) == []
    first, second = [decided(0), decided(1)], [decided(2)]
    for each in (first, second):
        stream.append(encode(each))
    assert [ids(each) for each in read_logged(stream)] == [ids(first), ids(second)]
    positions = [each.position for each in messages(stream)]
    assert stream.ends() == (positions[0], positions[1])
    stream.remove(positions[:1])
    assert [ids(each) for each in read_logged(stream)] == [ids(second)]
    stream.remove_up_to(positions[1])
    assert list(read_logged(stream)) == []
    stream.append(encode(first))
    assert [each.position for each in messages(stream)] == [positions[1] + 1]


def test_too_much_that_nobody_drains_drops_the_oldest(tmp_path: Path) -> None:
    with SqliteStream(tmp_path / "log.db", max_bytes=400_000) as stream:
        every = [[decided(number)] for number in range(200)]
        for each in every:
            stream.append(encode(each))
        left = [ids(each) for each in read_logged(stream)]
    assert 0 < len(left) < 200
    assert left == [ids(each) for each in every[-len(left) :]]


def test_what_is_drained_stands_in_its_day_once(settings: FeatureSettings, stream: Stream) -> None:
    home = Home(settings.home)
    days = [decided(0), decided(1), decided(1440)]
    stream.append(encode(days[:2]))
    stream.append(encode(days[2:]))
    assert drain_decisions(settings) == 3
    assert [each.parent.name for each in parts(home.decisions)] == [
        "date=2026-03-01",
        "date=2026-03-02",
    ]
    assert list(read_logged(stream)) == []
    stream.append(encode([days[2], decided(1441)]))  # as after a kill before the emptying
    assert drain_decisions(settings) == 1
    assert drain_decisions(settings) == 0


def test_it_is_found_before_and_after_the_draining(
    settings: FeatureSettings, stream: Stream
) -> None:
    home, now = Home(settings.home), decided()
    here = decided(0, decision_id=new_decision_id())
    for each in (decided(1), here, now):
        stream.append(encode([each]))
    # What was logged at another time than its id says is not looked for everywhere.
    assert find_decision(home, stream, now.decision_id) is None
    found = find_decision(home, stream, here.decision_id)
    assert found is not None
    assert same(found, here)
    drain_decisions(settings)
    found = find_decision(home, stream, now.decision_id)
    assert found is not None
    assert same(found, now)
    for unknown in (new_decision_id(), "d-17", ""):
        assert find_decision(home, stream, unknown) is None


def test_nothing_is_left_of_an_erased_customer(settings: FeatureSettings, stream: Stream) -> None:
    home, ada = Home(settings.home), "ada-4711"
    erasures = Erasures({erased_name(ada): tick(NOON) + 256 * 90})
    rows = [decided(0, customer_key=ada), decided(0, customer_key="bob"), decided(0)]
    stream.append(encode(rows))
    drain_decisions(settings)
    later = decided(2, customer_key=ada)  # of a new customer by the old name
    stream.append(encode([decided(1, customer_key=ada), decided(1, customer_key="bob"), later]))
    assert forget_decisions(home, stream, erasures) == (2, {ada})
    assert forget_decisions(home, stream, erasures) == (0, set())
    (left,) = read_logged(stream)
    assert [each.customer_key for each in left] == ["bob", ada]
    assert find_decision(home, stream, rows[0].decision_id) is None
    assert find_decision(home, stream, rows[1].decision_id) is not None


def test_a_drain_leaves_out_who_was_erased_meanwhile(
    settings: FeatureSettings, stream: Stream
) -> None:
    with open_log(settings) as log:
        log.note_erasure(erased_name("ada"), tick(NOON) + 256)
    stream.append(encode([decided(0), decided(0, customer_key="bob")]))
    assert drain_decisions(settings) == 1


def test_what_is_past_its_time_is_removed(settings: FeatureSettings, stream: Stream) -> None:
    home = Home(settings.home)
    stream.append(encode([decided(0), decided(2)]))
    drain_decisions(settings)
    stream.append(encode([decided(0)]))
    since = NOON + timedelta(minutes=1)
    assert retain_decisions(home, stream, since) == 2
    assert retain_decisions(home, stream, since) == 0
    assert list(read_logged(stream)) == []
    assert retain_decisions(home, stream, since + timedelta(days=1)) == 1
    assert parts(home.decisions) == []


def test_the_writer_drops_and_counts_what_it_cannot_take(tmp_path: Path) -> None:
    counts = {"written": 0, "dropped": 0}
    path = tmp_path / "log.db"
    opened = threading.Event()

    def note(ending: str, count: int) -> None:
        counts[ending] += count

    def slowly() -> SqliteStream:
        opened.wait()
        return SqliteStream(path)

    writer = DecisionWriter(slowly, lambda each: each, note=note, max_waiting=2)
    for number in range(9):  # one may be taken out at once
        writer.offer(decided(number))
    opened.set()
    writer.flush()
    assert counts["written"] in (2, 3)
    assert counts["written"] + counts["dropped"] == 9
    writer.close()
    with SqliteStream(path) as stream:
        assert sum(len(each) for each in read_logged(stream)) == counts["written"]


def test_what_is_decided_in_a_while_is_one_message_unless_somebody_waits(tmp_path: Path) -> None:
    path, an_hour = tmp_path / "log.db", 3600.0
    writer = DecisionWriter(lambda: SqliteStream(path), lambda each: each, gather_s=an_hour)
    for number in range(3):
        writer.offer(decided(number))
    writer.flush()
    writer.offer(decided(3))
    writer.close()
    with SqliteStream(path) as stream:
        assert [len(each) for each in read_logged(stream)] == [3, 1]


def test_the_writer_rests_after_each_decision_unless_somebody_waits(tmp_path: Path) -> None:
    rests, path = threading.Semaphore(0), tmp_path / "log.db"
    writer = DecisionWriter(
        lambda: SqliteStream(path), lambda each: each, resting=lambda: rests.release, gather_s=0.0
    )
    writer.offer(decided(0))
    writer.offer(decided(1))
    assert rests.acquire(timeout=60) and rests.acquire(timeout=60)
    writer.close()

    slow = DecisionWriter(
        lambda: SqliteStream(path), lambda each: each, resting=lambda: rests.release, gather_s=3600
    )
    for number in range(3):
        slow.offer(decided(number))
    slow.close()  # waits for the writing
    assert not rests.acquire(blocking=False)
    with SqliteStream(path) as stream:
        assert sum(len(each) for each in read_logged(stream)) == 5


def test_a_log_that_cannot_be_written_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counts = {"written": 0, "dropped": 0}

    def note(ending: str, count: int) -> None:
        counts[ending] += count

    def never() -> SqliteStream:
        raise LogError("no disk")

    writer = DecisionWriter(never, lambda each: each, note=note)
    for number in range(3):
        writer.offer(decided(number))
        writer.flush()
    writer.close()
    assert counts == {"written": 0, "dropped": 3}
    assert [each.message for each in caplog.records] == ["decisions are not logged: no disk"]


def test_what_was_logged_before_there_were_all_columns_is_still_read(tmp_path: Path) -> None:
    older = table_of([decided(1)]).select(SCHEMA.names[:FIRST_COLUMNS])
    (batch,) = older.to_batches()
    (read,) = decisions_of(rows_of(b"\x01" + batch.serialize().to_pybytes()))
    assert (read.rule, read.boosts, read.pinned_item_ids) == ("", {}, [])
    home = Home(tmp_path)
    append(home.decisions, older)
    newer = decided(2, rule="price < 2", boosts={"apple": 2.0}, owned_item_ids=["dates"])
    append(home.decisions, table_of([newer]))
    with duckdb.connect() as database:
        rows = database.sql(f"SELECT rule, boosts FROM {scan_of(parts(home.decisions))}")
        assert rows.order("rule").fetchall() == [("price < 2", {"apple": 2.0}), (None, None)]
    every = {"since": NOON, "until": NOON + timedelta(hours=1)}
    found = sorted(read_decisions(home, **every), key=lambda each: each.decide_time)
    assert [each.boosts for each in found] == [{}, {"apple": 2.0}]
    assert [each.owned_item_ids for each in found] == [[], ["dates"]]
