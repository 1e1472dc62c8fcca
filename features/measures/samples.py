"""Samples: the features of some decisions, as they were when it was decided.

It is there to be compared with the history (measures.skew) and for nothing else. One thread writes
it, to a SQLite file; a decision only hands its features over, and never waits and never fails for
it: what does not fit into the waiting room or cannot be written is dropped, and counted.
"""

import logging
import queue
import sqlite3
import threading
import zlib
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from features.measures.customers import Measures
from features.privacy.aging import Aging
from features.privacy.erasure import erased_name
from features.record import tick
from features.settings import Home

MAX_WAITING = 1000
MAX_BATCH = 64
ID_BITS = 32  # at the end of a decision id, random hexadecimal: they decide on the share
BUSY_TIMEOUT_S = 5.0

TABLES = """
CREATE TABLE IF NOT EXISTS layouts (layout INTEGER PRIMARY KEY, names TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS decisions (
    decision_id TEXT PRIMARY KEY,
    customer_key TEXT NOT NULL,
    tick INTEGER NOT NULL,
    staleness_s REAL NOT NULL,
    records BLOB NOT NULL,
    layout INTEGER NOT NULL,
    measures BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS decisions_by_customer ON decisions (customer_key);
CREATE TABLE IF NOT EXISTS erasures (name TEXT PRIMARY KEY, tick INTEGER NOT NULL);
"""
INSERT = """
INSERT OR IGNORE INTO decisions
SELECT ?1, ?2, ?3, ?4, ?5, (SELECT layout FROM layouts WHERE names = ?6), ?7
WHERE NOT EXISTS (SELECT 1 FROM erasures WHERE name = ?8 AND tick >= ?3)
"""
SELECT = """
SELECT decision_id, customer_key, tick, staleness_s, records, names, measures
FROM decisions JOIN layouts USING (layout) WHERE tick >= ? ORDER BY tick, decision_id
"""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sample:
    """What one decision knew of its customer."""

    decision_id: str
    customer_key: str
    tick: int  # the moment of deciding
    staleness_s: float  # how far the online store was behind the log
    records: bytes


@dataclass(frozen=True, slots=True)
class LoggedSample:
    """A sample as it was logged, with the measures that were taken of it then, by name."""

    sample: Sample
    measures: dict[str, float]


class SampleLog:
    """Writes samples in a thread of its own, from the first one until close()."""

    def __init__(
        self, path: Path, measures: Measures, *, share: float, max_waiting: int = MAX_WAITING
    ) -> None:
        """Opens nothing yet: the thread does. `share` of all decisions are taken, by their ids."""
        self._below = int(share * 2**ID_BITS)
        self.written_count = 0
        self.dropped_count = 0
        self._path = path
        self._measures = measures
        self._names = ",".join(measures.names)
        self._waiting: queue.Queue[Sample | None] = queue.Queue(max_waiting)
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="samples", daemon=True)
        self._thread.start()

    def offer(self, sample: Sample) -> None:
        """Takes a decision that is in the share, or drops it; neither waits nor raises."""
        if int(sample.decision_id[-ID_BITS // 4 :], 16) >= self._below:
            return
        try:
            self._waiting.put_nowait(sample)
        except queue.Full:
            self.dropped_count += 1

    def close(self) -> None:
        """Writes what waits, and ends the thread."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while not self._closing:
            samples = self._next()
            try:
                self._write(samples)
                self.written_count += len(samples)
            except (sqlite3.Error, OSError, ValueError) as error:
                if not self.dropped_count:
                    logger.warning("%s cannot be written, samples are lost: %s", self._path, error)
                self.dropped_count += len(samples)

    def _next(self) -> list[Sample]:
        """Whatever waits; at least one, but for the end."""
        samples: list[Sample] = []
        while len(samples) < MAX_BATCH and (not samples or not self._waiting.empty()):
            sample = self._waiting.get()
            if sample is None:
                self._closing = True
                break
            samples.append(sample)
        return samples

    def _write(self, samples: Sequence[Sample]) -> None:
        taken = self._measures.take(
            [each.records for each in samples], np.array([each.tick for each in samples])
        )
        rows = [
            (*astuple(each), self._names, zlib.compress(values), erased_name(each.customer_key))
            for each, values in zip(samples, taken.astype("<f8"), strict=True)
        ]
        with closing(_open(self._path)) as database, database:
            database.execute("INSERT OR IGNORE INTO layouts (names) VALUES (?)", (self._names,))
            database.executemany(INSERT, rows)


def read_samples(home: Home, *, since: datetime) -> list[LoggedSample]:
    """What was logged since a moment, oldest first."""
    if not home.samples.exists():
        return []
    with closing(_open(home.samples)) as database:
        rows = database.execute(SELECT, (tick(since),)).fetchall()
    return [LoggedSample(Sample(*row[:5]), _by_name(row[5], row[6])) for row in rows]


def _by_name(names: str, measures: bytes) -> dict[str, float]:
    values = np.frombuffer(zlib.decompress(measures), "<f8").tolist()
    return dict(zip(names.split(","), values, strict=True))


def customers_in(home: Home) -> list[str]:
    """The keys of the customers about whom there are decisions."""
    if not home.samples.exists():
        return []
    with closing(_open(home.samples)) as database:
        rows = database.execute("SELECT DISTINCT customer_key FROM decisions").fetchall()
    return [key for (key,) in rows]


def forget(home: Home, customer_keys: Collection[str], *, up_to: datetime) -> int:
    """Takes customers' decisions up to a moment out, also any that is still on its way.

    Gives how many there were. Their keys are kept nowhere: see privacy.erasure.erased_name.
    """
    if not home.samples.exists() or not customer_keys:
        return 0
    last = tick(up_to) + 1  # a moment made of a tick may have been rounded down
    with closing(_open(home.samples)) as database, database:
        database.executemany(
            "INSERT INTO erasures VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET tick = max(tick, excluded.tick)",
            [(erased_name(each), last) for each in customer_keys],
        )
        before = database.total_changes
        database.executemany(
            "DELETE FROM decisions WHERE customer_key = ? AND tick <= ?",
            [(each, last) for each in customer_keys],
        )
        return database.total_changes - before


def forget_before(home: Home, moment: datetime) -> int:
    """Takes everything out that was decided before a moment; gives how many decisions."""
    if not home.samples.exists():
        return 0
    with closing(_open(home.samples)) as database, database:
        return database.execute("DELETE FROM decisions WHERE tick < ?", (tick(moment),)).rowcount


def forget_past(home: Home, aging: Aging) -> int:
    """Takes out the decisions that hold a record past its time; gives how many decisions."""
    if not home.samples.exists():
        return 0
    with closing(_open(home.samples)) as database, database:
        database.create_function("is_past", 1, lambda records: bool(aging.past(records)))
        return database.execute("DELETE FROM decisions WHERE is_past(records)").rowcount


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)
    database.execute("PRAGMA secure_delete = ON")  # erased means overwritten
    database.executescript(TABLES)
    return database
