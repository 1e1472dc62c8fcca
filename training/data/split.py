"""The time split: what the model may learn from, and the newer part that it is judged on."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zlib import crc32

import duckdb

from features.history.partitions import is_empty, parts
from features.record import moment, tick
from features.settings import Home
from features.vocabulary import Vocabulary
from training.settings import TrainingError

VALIDATION_SHARE = 0.1  # of the history to learn from: its newest part, of some customers
VALIDATION_CUSTOMERS = 10  # one of so many


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Where the history is cut, in ticks; interactions at a cut belong to what follows it."""

    validation_tick: int
    test_tick: int
    end_tick: int  # just after the newest interaction

    def learn_until(self, customer: str) -> int:
        """The cut before which the model learns from a customer."""
        return self.validation_tick if is_validation(customer) else self.test_tick


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What the history held when training began."""

    rows: int
    learnt_rows: int  # before the test cut
    newest_time: datetime
    parts_digest: str
    split: Split

    @property
    def test_time(self) -> datetime:
        """The first moment that the model is judged on."""
        return moment(self.split.test_tick)


def is_validation(customer: str) -> bool:
    """Whether a customer's newest interactions say when to stop learning."""
    return crc32(customer.encode()) % VALIDATION_CUSTOMERS == 0


def take_snapshot(home: Home, vocabulary: Vocabulary, *, test_share: float) -> Snapshot:
    """Looks over the history, and cuts it; raises TrainingError if it cannot be learnt from."""
    if is_empty(home.history):
        raise TrainingError(f"{home.history} holds no interactions: import or simulate some first")
    files = parts_of(home)
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        database.read_parquet([str(file) for file in files], hive_partitioning=False).create_view(
            "history"
        )
        _check_types(database, vocabulary)
        learnt = 1 - test_share
        quantiles = [learnt * (1 - VALIDATION_SHARE), learnt]
        rows, newest, cuts = _row(
            database, f"count(*), max(event_time), quantile_disc(event_time, {quantiles})"
        )
        (learnt_rows,) = _row(database, f"count(*) FILTER (event_time < '{cuts[1]}')")
    if not 0 < learnt_rows < rows:
        raise TrainingError(f"{home.history}: {rows} interactions cannot be split by time")
    split = Split(validation_tick=tick(cuts[0]), test_tick=tick(cuts[1]), end_tick=tick(newest) + 1)
    return Snapshot(
        rows=rows,
        learnt_rows=learnt_rows,
        newest_time=newest,
        parts_digest=_digest(files, home.history),
        split=split,
    )


def parts_of(home: Home) -> list[Path]:
    """The files of the history, oldest day first; a compaction leaves them for a while."""
    return parts(home.history)


def count_rows(home: Home, *, since: datetime, before: datetime) -> int:
    """How many interactions of the history lie between two times."""
    files = [str(file) for file in parts_of(home)]
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        database.read_parquet(files, hive_partitioning=False).create_view("history")
        times = f"event_time >= '{since}' AND event_time < '{before}'"
        (count,) = _row(database, f"count(*) FILTER ({times})")
    return int(count)


def _row(database: duckdb.DuckDBPyConnection, select: str) -> tuple[Any, ...]:
    row = database.execute(f"SELECT {select} FROM history").fetchone()
    assert row is not None  # an aggregate always has a row
    return row


def _check_types(database: duckdb.DuckDBPyConnection, vocabulary: Vocabulary) -> None:
    held = {name for (name,) in database.execute("SELECT DISTINCT type FROM history").fetchall()}
    if unknown := held - set(vocabulary.types):
        names = ", ".join(sorted(unknown))
        raise TrainingError(f"the history holds types that no vocabulary declares: {names}")


def _digest(parts: list[Path], root: Path) -> str:
    names = "\n".join(part.relative_to(root).as_posix() for part in parts)
    return hashlib.sha256(names.encode()).hexdigest()[:16]
