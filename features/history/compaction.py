"""Compaction: a day's small parts become one, and no reader sees a row lost or doubled.

What is said of the history holds of the decisions, too: both are dated parts. Each step is one
change of the folder, so that a kill at any moment leaves a history that is whole, and the next run
goes on:

    1  <part>.compacted is written, with the names of the parts whose rows it holds; from then on
       parts() gives it in their place
    2  once nobody reads the old parts any more, it becomes <part>.parquet (a second name of the
       same file), and the old parts are removed
    3  once nobody reads it by its first name any more, that one is removed

Readers of `*/*.parquet`, such as Feast, see the old parts until step 2, and the new one after it.
The parts of writers that come back to names of their own, such as the simulator, are left alone.

The history is sorted by customer, then by time. A day's folder already bounds the time; whoever
looks for one customer (erasure, export, point-in-time reads) then skips most of a file by its
statistics.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from features.history.partitions import COMPACTED, PART, REPLACES, parts, replaced_by, writing
from features.interaction import SCHEMA

MERGEABLE = ("log-", "import-", "compact-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How the parts of a root are written."""

    schema: pa.Schema  # older parts may lack its newest columns
    order: Sequence[str]  # by which rows are sorted
    most_rows: int  # of a file, and what a compaction holds in memory
    rows_a_group: int  # within a file, with statistics of their own

    @property
    def small_rows(self) -> int:
        """A part below this is worth merging."""
        return self.most_rows // 2


HISTORY = Form(
    schema=SCHEMA,
    order=("customer_id", "anonymous_id", "event_time", "interaction_id"),
    most_rows=1_000_000,  # 20 to 40 MB
    rows_a_group=50_000,
)


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a run merged."""

    part_count: int = 0
    file_count: int = 0
    row_count: int = 0


def compact(
    root: Path,
    *,
    form: Form = HISTORY,
    grace_s: float,
    now: float,
    progress: Callable[[int], None] = lambda count: None,
) -> Compacted:
    """Merges the small parts of each day, and removes what an earlier run replaced.

    Replaced files stay for `grace_s` seconds, for readers that have begun with them; `now` is in
    seconds since 1970. Tells `progress` the days. Other writers wait no longer than for one day.
    """
    total = Compacted()
    for day in sorted(root.glob("date=*")):
        with writing(root):
            settle(day, grace_s=grace_s, now=now)
            for group in _groups(day, form):
                rows = _merge(group, form)
                total = Compacted(
                    total.part_count + len(group), total.file_count + 1, total.row_count + rows
                )
            if not grace_s:  # nobody reads them: no need to wait for the next run
                settle(day, grace_s=0, now=now)
        progress(1)
    return total


def settle(day: Path, *, grace_s: float, now: float) -> None:
    """Steps 2 and 3 for the compacted files of a day that have been there for long enough."""
    for unfinished in day.glob("compact-*.unfinished"):  # of a run that was cut off
        unfinished.unlink()
    for compacted in sorted(day.glob(f"*{COMPACTED}")):
        part, since = compacted.with_suffix(PART), compacted.stat()
        written_time, named_time = since.st_mtime, since.st_ctime  # a name is a change too
        if not part.exists():
            if max(now - written_time, 0) < grace_s:
                continue
            os.link(compacted, part)
            named_time = now
        for each in replaced_by(compacted):
            each.unlink(missing_ok=True)
        if max(now - named_time, 0) >= grace_s:
            compacted.unlink()


def _groups(day: Path, form: Form) -> Iterator[list[Path]]:
    """Small parts, two or more at a time, that together make no file too large."""
    group: list[Path] = []
    rows = 0
    for part, count in _small(day, form.small_rows):
        if rows + count > form.most_rows:
            yield group
            group, rows = [], 0
        group.append(part)
        rows += count
    if len(group) > 1:
        yield group


def _small(day: Path, small_rows: int) -> Iterator[tuple[Path, int]]:
    """The parts that may be merged, with their rows; not those still on their way to one name."""
    for part in parts(day.parent, day=day.name):
        if part.suffix == PART and part.name.startswith(MERGEABLE):
            rows = pq.read_metadata(part).num_rows
            if rows < small_rows and not part.with_suffix(COMPACTED).exists():
                yield part, rows


def _merge(group: list[Path], form: Form) -> int:
    """Step 1; gives the number of rows."""
    names = [each.stem for each in group]
    read = (pq.read_table(each, schema=form.schema, partitioning=None) for each in group)
    ordered = pa.concat_tables(read).sort_by([(name, "ascending") for name in form.order])
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
    unfinished = group[0].with_name(f"compact-{digest}.unfinished")
    noted = ordered.replace_schema_metadata({REPLACES: json.dumps(names)})
    pq.write_table(noted, unfinished, compression="zstd", row_group_size=form.rows_a_group)
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    unfinished.replace(unfinished.with_suffix(COMPACTED))
    return len(ordered)
