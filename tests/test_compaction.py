"""Compaction and draining: killed at any step, no reader ever sees a row lost or doubled."""

import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.history.compaction import HISTORY, Compacted, compact
from features.history.draining import drain
from features.history.partitions import (
    COMPACTED,
    append,
    count,
    files,
    newest,
    parts,
    scan,
    write_part,
)
from features.history.pruning import prune_history
from features.interaction import SCHEMA
from features.log.sqlite import SqliteLog
from features.settings import FeatureSettings, Home
from tests.interactions import START, interaction, table_of

GRACE_S = 3600.0
CHANGES = ("os.rename", "os.link", "os.remove")
PROCESSES = multiprocessing.get_context("forkserver")  # a fork of this process would copy locks
PROCESSES.set_forkserver_preload(["tests.test_compaction"])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A history of two days: three parts of one, two of the other."""
    fill(tmp_path / "home" / "history")
    return tmp_path / "home" / "history"


def fill(root: Path) -> None:
    for part in range(3):
        append(root, rows(range(part * 100, part * 100 + 100)), kind="log")
    for part in range(3, 5):
        append(root, rows(range(part * 100, part * 100 + 100), days=1), kind="import")


def rows(numbers: range, days: int = 0) -> pa.Table:
    """Views of a few customers, which come in no order of customers."""
    day = START + timedelta(days=days)
    return table_of(
        [
            interaction(
                number, customer_id=f"c{number % 7}", event_time=day + timedelta(seconds=number)
            )
            for number in numbers
        ]
    )


ALL = sorted(map(str, range(500)))


def held(root: Path) -> list[str]:
    """What a reader sees."""
    found = [pq.ParquetFile(each).read()["interaction_id"].to_pylist() for each in parts(root)]
    return sorted(each for ids in found for each in ids)


def kill_at_change(number: int) -> None:
    """Lets this process be killed just before its so-manieth change of a folder."""
    left = iter(range(number))

    def count_down(event: str, arguments: object) -> None:
        if event in CHANGES and next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count_down)


def kill_after(microseconds: int) -> None:
    signal.setitimer(signal.ITIMER_REAL, microseconds / 1e6)  # SIGALRM ends a process


def compact_until_killed(kill: Callable[[int], None], number: int, root: Path) -> None:
    kill(number)
    compact(root, grace_s=0, now=0)


def compact_once(root: Path) -> None:
    compact(root, grace_s=GRACE_S, now=0)


def drain_until_killed(kill: Callable[[int], None], number: int, home: Path) -> None:
    kill(number)
    drain(FeatureSettings(home=home))


def exit_code(target: Callable[..., None], *arguments: object) -> int | None:
    process = PROCESSES.Process(target=target, args=arguments)
    process.start()
    process.join()
    code = process.exitcode
    process.close()
    return code


def last_change(path: Path) -> float:
    return max(each.stat().st_ctime for each in files(path))


def test_a_days_parts_become_one_in_the_order_of_customers(root: Path) -> None:
    done = compact(root, grace_s=0, now=0)
    assert done == Compacted(part_count=5, file_count=2, row_count=500)
    assert held(root) == ALL
    assert [each.parent.name for each in files(root)] == ["date=2026-01-01", "date=2026-01-02"]
    table = pq.ParquetFile(files(root)[0]).read()
    assert table.schema.equals(SCHEMA)
    keys = list(zip(table["customer_id"].to_pylist(), table["event_time"].to_pylist(), strict=True))
    assert keys == sorted(keys)
    assert compact(root, grace_s=0, now=0) == Compacted()


def test_replaced_files_stay_for_those_who_read_them(root: Path) -> None:
    before = parts(root)
    compact(root, grace_s=GRACE_S, now=0)
    listed = parts(root)
    assert {each.suffix for each in listed} == {COMPACTED}
    assert all(each.exists() for each in before)
    compact(root, grace_s=GRACE_S, now=last_change(root) + GRACE_S)
    assert not any(each.exists() for each in before)
    assert {each.suffix for each in parts(root)} == {".parquet"}
    assert all(each.exists() for each in listed)
    compact(root, grace_s=GRACE_S, now=last_change(root) + GRACE_S)
    assert files(root) == parts(root) == sorted(each.with_suffix(".parquet") for each in listed)
    assert held(root) == ALL


def test_every_reader_sees_each_row_once(root: Path) -> None:
    for step in range(4):
        assert count(root) == 500
        assert sum(len(batch) for batch in newest(root, max_records=1000)) == 500
        raw = f"SELECT count(*) FROM '{root}/*/*.parquet'"  # as Feast reads it
        for query in (raw, f"SELECT count(DISTINCT interaction_id) FROM {scan(root)}"):
            assert duckdb.sql(query).fetchall() == [(500,)]
        assert append(root, rows(range(500)), kind="log") == 0
        compact(root, grace_s=GRACE_S, now=last_change(root) + (GRACE_S if step else 0))


def test_compacted_files_are_compacted_with_what_comes_later(root: Path) -> None:
    compact(root, grace_s=0, now=0)
    append(root, rows(range(500, 510)), kind="log")
    assert compact(root, grace_s=0, now=0) == Compacted(2, 1, 310)
    assert len(parts(root)) == 2
    assert held(root) == sorted(map(str, range(510)))


def test_large_parts_and_those_of_other_writers_stay(root: Path) -> None:
    write_part(root, rows(range(500, 510)), part="simulated-7")
    form = replace(HISTORY, most_rows=250)
    assert compact(root, form=form, grace_s=0, now=0) == Compacted(4, 2, 400)
    assert compact(root, form=form, grace_s=0, now=0) == Compacted()
    assert (root / "date=2026-01-01" / "simulated-7.parquet").exists()
    assert len(held(root)) == 510


def test_pruning_between_the_steps_reaches_every_copy(root: Path) -> None:
    compact(root, grace_s=GRACE_S, now=0)

    def kept(table: pa.Table) -> pa.Table:
        gone = np.array([each == "c0" for each in table["customer_id"].to_pylist()])
        return table.filter(pa.array(~gone)) if gone.any() else table

    prune_history(root, kept)
    left = [number for number in ALL if int(number) % 7]
    assert held(root) == left
    customers = [pq.ParquetFile(each).read()["customer_id"].to_pylist() for each in files(root)]
    assert len(customers) == 7
    assert not any("c0" in each for each in customers)
    compact(root, grace_s=0, now=0)
    assert held(root) == left


def test_compaction_killed_before_any_change_of_a_folder_goes_on(tmp_path: Path) -> None:
    codes = []
    fill(tmp_path / "filled")
    while not codes or codes[-1] != 0:
        root = tmp_path / str(len(codes)) / "history"
        shutil.copytree(tmp_path / "filled", root)
        codes.append(exit_code(compact_until_killed, kill_at_change, len(codes), root))
        assert held(root) == ALL
        compact(root, grace_s=0, now=0)
        assert held(root) == ALL
        assert [len(list(day.iterdir())) for day in sorted(root.iterdir())] == [1, 1]
    # A day is renamed in, linked and left by its old parts and its first name: 1 + 1 + parts + 1.
    assert codes == [-signal.SIGKILL] * 11 + [0]


def test_compaction_killed_at_random_moments_goes_on(root: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    for run, microseconds in enumerate(random.integers(1, 60_000, 50).tolist()):
        copy = tmp_path / str(run) / "history"
        shutil.copytree(root, copy)
        exit_code(compact_until_killed, kill_after, microseconds, copy)
        assert held(copy) == ALL
        compact(copy, grace_s=0, now=0)
        assert held(copy) == ALL
        assert len(files(copy)) == 2


def test_readers_meanwhile_see_each_row_once(root: Path) -> None:
    process = PROCESSES.Process(target=compact_once, args=(root,))
    process.start()
    while process.is_alive():
        assert held(root) == ALL
        assert count(root) == 500
    assert process.exitcode == 0
    process.close()
    assert {each.suffix for each in parts(root)} == {COMPACTED}
    assert held(root) == ALL


def log_of(home: Path, numbers: range) -> None:
    with SqliteLog(Home(home).log) as log:
        log.append([[interaction(each, event_time=time_of(each)) for each in numbers]])


def time_of(number: int) -> datetime:
    return START + timedelta(days=number % 2, seconds=number)


def drained(home: Path) -> Iterator[int]:
    yield from sorted(int(each) for each in held(Home(home).history))


def test_a_drain_that_was_cut_off_finds_its_rows_in_a_compacted_file(tmp_path: Path) -> None:
    log_of(tmp_path, range(6))
    history = Home(tmp_path).history
    code = exit_code(drain_until_killed, kill_at_change, 1, tmp_path)  # before the second day
    assert (code, list(drained(tmp_path))) == (-signal.SIGKILL, [0, 2, 4])
    append(history, rows(range(100, 101)), kind="import")
    compact(history, grace_s=GRACE_S, now=0)
    log_of(tmp_path, range(6, 8))
    assert drain(FeatureSettings(home=tmp_path)) == 5
    assert list(drained(tmp_path)) == [*range(8), 100]
    compact(history, grace_s=0, now=0)
    assert list(drained(tmp_path)) == [*range(8), 100]
    assert drain(FeatureSettings(home=tmp_path)) == 0


def test_a_drain_killed_at_random_moments_goes_on(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    history = Home(tmp_path).history
    for run, microseconds in enumerate(random.integers(1, 300_000, 30).tolist()):
        log_of(tmp_path, range(run * 20, run * 20 + 20))
        exit_code(drain_until_killed, kill_after, microseconds, tmp_path)
        if run % 3 == 0:
            exit_code(compact_until_killed, kill_after, microseconds, history)
        seen = list(drained(tmp_path))
        assert len(set(seen)) == len(seen)
    drain(FeatureSettings(home=tmp_path))
    assert list(drained(tmp_path)) == list(range(600))
