"""The decisions' parts are compacted by what compacts the history: nothing is lost or doubled."""

import re
import shutil
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from features.__main__ import main
from features.decisions.decision import FIRST_COLUMNS, SCHEMA, LoggedDecision, table_of
from features.decisions.outcomes import Attribution, outcomes
from features.decisions.parts import DECISIONS, append, days_of, find_row, parts, scan_of
from features.decisions.privacy import forget_decisions, retain_decisions
from features.decisions.reading import read_decisions
from features.history.compaction import Compacted, compact
from features.history.partitions import COMPACTED, files
from features.privacy.erasure import Erasures, erased_name
from features.record import tick
from features.settings import Home
from tests.decided import NOON, decided
from tests.test_compaction import GRACE_S, PROCESSES, exit_code, kill_at_change, last_change

EVERY = [
    decided(day * 1440 + number, customer_key=f"c{number % 3}")
    for day in range(2)
    for number in range(6)
]
IDS = [each.decision_id for each in EVERY]
ALL_TIME = {"since": NOON, "until": NOON + timedelta(days=9)}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Two days of decisions, in three parts each; the first part lacks the newest columns."""
    filled = Home(tmp_path / "home")
    for first in range(0, 12, 2):
        rows = table_of(EVERY[first : first + 2])
        append(filled.decisions, rows.select(SCHEMA.names[:FIRST_COLUMNS]) if not first else rows)
    return filled


def held(home: Home) -> list[str]:
    """What a reader sees."""
    return sorted(each.decision_id for each in read_decisions(home, **ALL_TIME))


def merged(home: Home, *, grace_s: float = 0, now: float = 0) -> Compacted:
    return compact(home.decisions, form=DECISIONS, grace_s=grace_s, now=now)


def found(home: Home, each: LoggedDecision) -> bool:
    return find_row(home.decisions, each.decision_id, each.decide_time) is not None


def test_a_days_parts_become_one_in_the_order_of_decisions(home: Home) -> None:
    assert len(files(home.decisions)) == 6
    assert merged(home) == Compacted(part_count=6, file_count=2, row_count=12)
    assert merged(home) == Compacted()
    assert days_of(home.decisions) == ["2026-03-01", "2026-03-02"]
    first, _ = parts(home.decisions)
    table = pq.ParquetFile(first).read()
    assert table.schema.equals(SCHEMA)
    assert table["decision_id"].to_pylist() == IDS[:6]
    assert [each.name for each in first.parent.iterdir()] == [first.name]


def test_every_reader_sees_each_decision_once_at_each_step(home: Home) -> None:
    attribution = Attribution(since=NOON, now=NOON + timedelta(days=30))
    for step in range(4):
        assert held(home) == IDS
        assert all(found(home, each) for each in EVERY)
        assert append(home.decisions, table_of(EVERY)) == 0
        with duckdb.connect() as database:
            rows = database.sql(f"SELECT decision_id FROM {scan_of(parts(home.decisions))}")
            assert sorted(rows.fetchall()) == [(each,) for each in IDS]
        assert outcomes(home, {}, attribution)["decision_id"].to_pylist() == IDS
        later = last_change(home.decisions) + (GRACE_S if step else 0)
        merged(home, grace_s=GRACE_S, now=later)
    assert len(files(home.decisions)) == 2


def test_what_is_drained_later_is_merged_into_it(home: Home) -> None:
    merged(home)
    late = decided(7, customer_key="c7")
    assert append(home.decisions, table_of([late, EVERY[0]])) == 1
    assert merged(home) == Compacted(2, 1, 7)
    assert held(home) == sorted([*IDS, late.decision_id])


def test_an_erasure_between_the_steps_reaches_every_copy(home: Home) -> None:
    merged(home, grace_s=GRACE_S)
    assert {each.suffix for each in files(home.decisions)} == {".parquet", COMPACTED}
    erasures = Erasures({erased_name("c1"): tick(NOON + timedelta(days=2))})
    assert forget_decisions(home, None, erasures) == (4, {"c1"})
    left = [each.decision_id for each in EVERY if each.customer_key != "c1"]
    assert held(home) == left
    copies = [pq.ParquetFile(each).read()["customer_key"] for each in files(home.decisions)]
    assert not any("c1" in each.to_pylist() for each in copies)
    merged(home)
    assert held(home) == left
    assert forget_decisions(home, None, erasures) == (0, set())


def test_retention_between_the_steps_reaches_every_copy(home: Home) -> None:
    merged(home, grace_s=GRACE_S)
    assert retain_decisions(home, None, NOON + timedelta(days=1)) == 6
    assert {each.parent.name for each in files(home.decisions)} == {"date=2026-03-02"}
    assert held(home) == IDS[6:]


def compact_until_killed(kill: Callable[[int], None], number: int, root: Path) -> None:
    kill(number)
    compact(root, form=DECISIONS, grace_s=0, now=0)


def test_compaction_killed_before_any_change_of_a_folder_goes_on(home: Home) -> None:
    shutil.rmtree(home.decisions / "date=2026-03-02")
    codes: list[int | None] = []
    while not codes or codes[-1] != 0:
        copy = Home(home.path.with_name(str(len(codes))))
        shutil.copytree(home.decisions, copy.decisions)
        codes.append(exit_code(compact_until_killed, kill_at_change, len(codes), copy.decisions))
        assert held(copy) == IDS[:6]
        assert append(copy.decisions, table_of(EVERY[:6])) == 0  # a drain that comes between
        merged(copy)
        assert held(copy) == IDS[:6]
        assert len(list((copy.decisions / "date=2026-03-01").iterdir())) == 1
    # The day is renamed in, linked, left by its three old parts, and by its first name.
    assert codes == [-signal.SIGKILL] * 6 + [0]


def append_all(root: Path, rows: list[pa.Table]) -> None:
    for each in rows:
        append(root, each)


def test_a_writer_and_a_reader_meanwhile_lose_nothing(home: Home) -> None:
    more = [decided(100 + number, customer_key="c9") for number in range(30)]
    each_alone = [table_of([each]) for each in more]
    writer = PROCESSES.Process(target=append_all, args=(home.decisions, each_alone))
    writer.start()
    seen = 0
    while writer.is_alive():
        merged(home, grace_s=GRACE_S)
        ids = held(home)
        assert len(set(ids)) == len(ids) >= seen
        seen = len(ids)
    assert writer.exitcode == 0
    writer.close()
    assert held(home) == sorted([*IDS, *(each.decision_id for each in more)])
    merged(home)
    assert len(files(home.decisions)) == 2


def test_the_command_compacts_history_and_decisions(home: Home) -> None:
    arguments = ["compact", "--grace-hours=0", f"--home={home.path}"]
    printed = CliRunner().invoke(main, arguments, catch_exceptions=False).output
    assert re.findall(r"compacted .*", printed) == [
        "compacted 0 files into 0: 0 interactions",
        "compacted 6 files into 2: 12 decisions",
    ]
    assert held(home) == IDS
