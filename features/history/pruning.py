"""Pruning: the history's parts are rewritten without the rows that are no longer kept."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from features.history.partitions import COMPACTED, files, parts, write_whole, writing

JUDGED = ["customer_id", "anonymous_id", "type", "event_time"]
KeptRows = Callable[[pa.Table], pa.Table]
"""Gives the rows that are kept, and the very table that it was given if those are all."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What became of a folder's files."""

    row_count: int = 0  # removed, each once, however many copies there were
    rewritten_count: int = 0
    dropped_count: int = 0  # files of which no row was left


def prune_history(
    root: Path, kept_rows: KeptRows, *, progress: Callable[[int], None] = lambda count: None
) -> Pruned:
    """prune() of the interactions."""
    return prune(root, kept_rows, JUDGED, progress=progress)


def prune(
    root: Path,
    kept_rows: KeptRows,
    judged: list[str],
    *,
    progress: Callable[[int], None] = lambda count: None,
) -> Pruned:
    """Rewrites or drops each file that holds rows which are not kept; tells `progress` the files.

    The columns `judged` are enough for `kept_rows` to see whether a file changes. Whoever reads
    meanwhile sees a file with the old rows or with the new ones. Other writers wait. Files that a
    compaction has replaced go first: they count again once the compacted one is dropped. Cut off
    at any moment, it is simply done again.
    """
    total = Pruned()
    with writing(root):
        for unfinished in root.glob("date=*/*.unfinished"):  # nobody writes now: a killed writer's
            unfinished.unlink()
        counting = set(parts(root))
        for path in sorted(files(root), key=lambda each: each.suffix == COMPACTED):
            pruned = _prune(path, kept_rows, judged)
            total = _sum(total, pruned if path in counting else replace(pruned, row_count=0))
            progress(1)
    return total


def prune_files(folder: Path, column: str, kept_rows: KeptRows) -> Pruned:
    """The same for the Parquet files of a folder that have a column; all of them stay."""
    total = Pruned()
    for path in sorted(folder.glob("*.parquet")):
        if column in pq.read_schema(path).names:
            total = _sum(total, _prune(path, kept_rows, [column], droppable=False))
    return total


def _prune(path: Path, kept_rows: KeptRows, judged: list[str], droppable: bool = True) -> Pruned:
    narrow = pq.read_table(path, columns=judged, partitioning=None)
    if kept_rows(narrow) is narrow:
        return Pruned()
    rows = pq.read_table(path, partitioning=None)
    kept = kept_rows(rows)
    if droppable and not len(kept):
        path.unlink()
        return Pruned(len(rows), dropped_count=1)
    rows_a_group = pq.read_metadata(path).row_group(0).num_rows
    write_whole(kept, path, rows_a_group=rows_a_group)
    return Pruned(len(rows) - len(kept), rewritten_count=1)


def _sum(one: Pruned, other: Pruned) -> Pruned:
    return Pruned(
        one.row_count + other.row_count,
        one.rewritten_count + other.rewritten_count,
        one.dropped_count + other.dropped_count,
    )
