"""The import: a reading becomes history, items and a reject file, and nothing is lost silently."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.catalog_parts import write_items
from features.history.partitions import append
from features.interaction import ANONYMOUS, SCHEMA, Violation
from features.item import Item, check_item
from features.privacy.erasure import NO_ERASURES, Erasures
from features.readers.reading import Chunk, Reading
from features.rejects import Reject, RejectFile
from features.settings import Home
from features.table_check import violations
from features.vocabulary import Vocabulary

ROWS_A_PART = 500_000


@dataclass(slots=True)
class Summary:
    """What an import did; accepted, duplicate and rejected add up to the rows that were read."""

    read: int = 0
    accepted: int = 0
    rejected: int = 0
    items: int = 0  # that the source describes
    items_written: int = 0  # of them new or changed
    items_rejected: int = 0
    customers: set[str] = field(default_factory=set)
    types: Counter[str] = field(default_factory=Counter)
    first_time: datetime | None = None
    last_time: datetime | None = None
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    reject_file: Path | None = None

    @property
    def duplicate(self) -> int:
        """Lawful rows that stood in the history, or earlier in the source."""
        return self.read - self.accepted - self.rejected


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides whether a row may enter."""

    vocabulary: Vocabulary
    now: datetime
    erasures: Erasures


def import_reading(
    reading: Reading,
    home: Home,
    *,
    vocabulary: Vocabulary,
    now: datetime,
    erasures: Erasures = NO_ERASURES,
    progress: Callable[[int], None] = lambda rows: None,
) -> Summary:
    """Writes what a reading gives to history, items and a reject file; tells `progress` the rows.

    Cut off at any moment, it is simply done again: what was written by then is a duplicate.
    """
    summary = Summary()
    with RejectFile(home.rejects, _reject_name(reading)) as rejects:
        chunks = (
            _lawful(chunk, rejects, summary, Rules(vocabulary, now, erasures))
            for chunk in _telling(reading.chunks, progress)
        )
        for part in _parts(chunks):
            summary.accepted += append(home.history, part, kind="import")
        _import_items(reading.items(), home, rejects, summary)
        summary.reasons = rejects.reasons
        summary.reject_file = rejects.path if rejects.reasons else None
    return summary


def _reject_name(reading: Reading) -> str:
    """Two files of one source have two reject files."""
    stem = reading.path.resolve().name.split(".")[0]
    return stem if stem == reading.source else f"{reading.source}-{stem}"


def _telling(chunks: Iterable[Chunk], progress: Callable[[int], None]) -> Iterator[Chunk]:
    for chunk in chunks:
        yield chunk
        progress(len(chunk.interactions) + chunk.untranslated)


def _lawful(chunk: Chunk, rejects: RejectFile, summary: Summary, rules: Rules) -> pa.Table:
    """The interactions that may enter; notes the others as rejects, and counts all."""
    broken = violations(chunk.interactions, vocabulary=rules.vocabulary, now=rules.now)
    erased = rules.erasures.violations(chunk.interactions)
    broken |= {place: [refused] for place, refused in erased.items()}  # which do not hold the id
    rejects.add(chunk.rejects)
    for place, found in broken.items():
        row = int(chunk.rows[place])
        rejects.add(_reject(chunk.file, row, each) for each in found)
    summary.read += len(chunk.interactions) + chunk.untranslated
    summary.rejected += len(broken) + chunk.untranslated
    kept = np.ones(len(chunk.interactions), bool)
    kept[list(broken)] = False
    lawful = chunk.interactions.filter(kept)
    _describe(lawful, summary)
    return lawful


def _reject(file: str, row: int, violation: Violation) -> Reject:
    return Reject(file, row, violation.field, violation.value, violation.rule)


def _describe(lawful: pa.Table, summary: Summary) -> None:
    keys = pc.coalesce(
        lawful["customer_id"], pc.binary_join_element_wise(ANONYMOUS, lawful["anonymous_id"], "")
    )
    summary.customers.update(keys.unique().to_pylist())
    for each in lawful["type"].value_counts().to_pylist():
        summary.types[each["values"]] += each["counts"]
    if len(lawful):
        span = pc.min_max(lawful["event_time"]).as_py()
        summary.first_time = min(summary.first_time or span["min"], span["min"])
        summary.last_time = max(summary.last_time or span["max"], span["max"])


def _parts(chunks: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in larger tables: fewer and larger files make a faster history."""
    held: list[pa.Table] = []
    for chunk in chunks:
        held.append(chunk)
        if sum(map(len, held)) >= ROWS_A_PART:
            yield pa.concat_tables(held)
            held = []
    yield pa.concat_tables([SCHEMA.empty_table(), *held])


def _import_items(items: pa.Table, home: Home, rejects: RejectFile, summary: Summary) -> None:
    kept = np.ones(len(items), bool)
    for place, row in enumerate(items.to_pylist()):
        broken = check_item(Item(**{**row, "tags": tuple(row["tags"])}))
        rejects.add(_reject("items", place + 1, each) for each in broken)
        kept[place] = not broken
    summary.items = int(kept.sum())
    summary.items_rejected = len(items) - summary.items
    summary.items_written = write_items(home, items.filter(kept))
