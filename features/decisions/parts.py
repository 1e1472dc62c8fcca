"""The decisions as dated Parquet parts, beside the history of interactions, and kept like it.

decisions/date=2026-11-22/<part>.parquet      rows of decision.SCHEMA

See features.history.partitions: what is said there of parts, readers and writers holds here.
"""

import hashlib
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from features.decisions.decision import SCHEMA
from features.history import partitions
from features.history.compaction import Form
from features.history.partitions import read_parts, write_whole, writing

DAY = "%Y-%m-%d"
JUDGED = ["customer_key", "decide_time"]  # enough to see which rows are kept
DECISIONS = Form(
    schema=SCHEMA,
    order=("decide_time", "decision_id"),
    most_rows=20_000,  # fewer than of the history: each holds all of its candidates
    rows_a_group=1000,
)


def append(root: Path, rows: pa.Table) -> int:
    """Adds those rows that the parts of their days lack; gives how many.

    Cut off at any moment, it is simply done again. A part is named after what it holds.
    """
    count = 0
    with writing(root):
        days = pc.strftime(rows["decide_time"], DAY)
        for day in pc.unique(days).to_pylist():
            count += _append_day(root / f"date={day}", rows.filter(pc.equal(days, day)))
    return count


def _append_day(folder: Path, rows: pa.Table) -> int:
    known = [
        pq.read_table(path, columns=["decision_id"], partitioning=None)["decision_id"]
        for path in partitions.parts(folder.parent, day=folder.name)
    ]
    held = pa.chunked_array([chunk for each in known for chunk in each.chunks], pa.string())
    fresh = rows.filter(pc.invert(pc.is_in(rows["decision_id"], held.combine_chunks())))
    if len(fresh):
        folder.mkdir(parents=True, exist_ok=True)
        names = "\n".join(fresh["decision_id"].to_pylist())
        digest = hashlib.sha256(names.encode()).hexdigest()[:16]
        path = folder / f"log-{digest}.parquet"
        write_whole(fresh.sort_by("decide_time"), path, rows_a_group=DECISIONS.rows_a_group)
    return len(fresh)


def parts(root: Path, *, since: datetime | None = None) -> list[Path]:
    """The files that hold decisions, oldest day first; those of days since a moment."""
    found = partitions.parts(root)
    return of_days_since(found, since) if since else found


def of_days_since(found: Sequence[Path], since: datetime) -> list[Path]:
    """Those of some parts that hold decisions of the day of a moment, or of later days."""
    return [each for each in found if each.parent.name >= f"date={since.astimezone(UTC):{DAY}}"]


def days_of(root: Path) -> list[str]:
    """The days of which there are decisions, in order."""
    return sorted({each.parent.name.removeprefix("date=") for each in partitions.parts(root)})


def find_row(root: Path, decision_id: str, decide_time: datetime) -> pa.Table | None:
    """The one row of a decision, whose id says about when it was; None where there is none."""
    for days in (0, -1, 1):  # a batch may have been decided across midnight
        day = f"{decide_time + timedelta(days=days):{DAY}}"
        found = _rows_where(root, day, ds.field("decision_id") == decision_id)
        if len(found):
            return found.slice(0, 1)
    return None


def rows_of_customer(root: Path, day: str, customer_keys: Collection[str]) -> pa.Table:
    """What was decided on a day for whoever has one of these keys."""
    return _rows_where(root, day, ds.field("customer_key").isin(sorted(customer_keys)))


def _rows_where(root: Path, day: str, condition: ds.Expression) -> pa.Table:
    """Group by group of a file, so that no more than is found is held."""

    def read(found: list[Path]) -> pa.Table:
        if not found:
            return SCHEMA.empty_table()
        every = ds.dataset([str(each) for each in found], schema=SCHEMA, format="parquet")
        scanner = every.scanner(
            filter=condition,
            batch_size=DECISIONS.rows_a_group,
            batch_readahead=1,
            fragment_readahead=1,
            use_threads=False,
        )
        return scanner.to_table()

    return read_parts(root, read, day=f"date={day}")


def scan_of(found: Sequence[Path]) -> str:
    """DuckDB's SQL for all rows of some parts; older ones may lack the newest columns."""
    names = ", ".join("'" + str(each).replace("'", "''") + "'" for each in found)
    return f"read_parquet([{names}], hive_partitioning = false, union_by_name = true)"
