"""The decisions as dated Parquet parts, beside the history of interactions.

decisions/date=2026-11-22/<part>.parquet      rows of decision.SCHEMA

Files appear whole or not at all. One process writes at a time; readers wait for nobody.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.decisions.decision import SCHEMA
from features.history.partitions import write_whole, writing

DAY = "%Y-%m-%d"
Kept = Callable[[pa.Table], pa.Table]


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
        for path in folder.glob("*.parquet")
    ]
    held = pa.chunked_array([chunk for each in known for chunk in each.chunks], pa.string())
    fresh = rows.filter(pc.invert(pc.is_in(rows["decision_id"], held.combine_chunks())))
    if len(fresh):
        folder.mkdir(parents=True, exist_ok=True)
        names = "\n".join(fresh["decision_id"].to_pylist())
        digest = hashlib.sha256(names.encode()).hexdigest()[:16]
        write_whole(fresh.sort_by("decide_time"), folder / f"log-{digest}.parquet")
    return len(fresh)


def parts(root: Path, *, since: datetime | None = None) -> list[Path]:
    """The files that hold decisions, oldest day first; those of days since a moment."""
    first = f"date={since.astimezone(UTC):{DAY}}" if since else ""
    return sorted(each for each in root.glob("date=*/*.parquet") if each.parent.name >= first)


def find_row(root: Path, decision_id: str, decide_time: datetime) -> pa.Table | None:
    """The one row of a decision, whose id says about when it was; None where there is none."""
    for days in (0, -1, 1):  # a batch may have been decided across midnight
        folder = root / f"date={decide_time + timedelta(days=days):{DAY}}"
        for path in sorted(folder.glob("*.parquet")):
            found = _rows_with(path, decision_id)
            if len(found):
                return found.slice(0, 1)
    return None


def _rows_with(path: Path, decision_id: str) -> pa.Table:
    try:
        table = pq.read_table(
            path, filters=[("decision_id", "=", decision_id)], schema=SCHEMA, partitioning=None
        )
    except FileNotFoundError:  # pruned away meanwhile
        return SCHEMA.empty_table()
    return table


def prune(root: Path, kept: Kept) -> int:
    """Rewrites or drops each file that holds rows which are not kept; gives how many rows.

    Cut off at any moment, it is simply done again.
    """
    count = 0
    if not root.exists():
        return 0
    with writing(root):
        for unfinished in root.glob("date=*/*.unfinished"):  # a killed writer's
            unfinished.unlink()
        for path in parts(root):
            rows = pq.read_table(path, schema=SCHEMA, partitioning=None)
            left = kept(rows)
            if left is rows:
                continue
            count += len(rows) - len(left)
            if len(left):
                write_whole(left, path)
            else:
                path.unlink()
    return count


def scan_of(found: Sequence[Path]) -> str:
    """DuckDB's SQL for all rows of some parts; older ones may lack the newest columns."""
    names = ", ".join("'" + str(each).replace("'", "''") + "'" for each in found)
    return f"read_parquet([{names}], hive_partitioning = false, union_by_name = true)"
