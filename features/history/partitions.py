"""The one history: every interaction and transaction, as dated Parquet partitions.

    history/date=2026-11-22/<part>.parquet        rows of interaction.SCHEMA
    history/date=2026-11-22/<part>.compacted      the same, in place of the parts that it names

Files appear whole or not at all. Readers take the parts that parts() gives: they hold each row
once, also while compaction is at work, and can be read for as long as it leaves replaced files
lying. Only one process writes at a time; readers wait for nobody.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.interaction import ANONYMOUS, SCHEMA, Interaction
from features.record import TICKS_PER_SECOND

PART, COMPACTED = ".parquet", ".compacted"
REPLACES = b"replaces"  # in the metadata of a compacted file: the names of parts, in JSON
Read = TypeVar("Read")


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """The right to change the history, which one process has at a time; not to be nested."""
    root.parent.mkdir(parents=True, exist_ok=True)
    with root.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # ends with the process, however that ends
        yield


def append(root: Path, table: pa.Table, *, kind: str) -> int:
    """Adds those rows of SCHEMA that the history lacks, as a part; gives how many.

    Cut off at any moment, it is simply done again: what was written by then is known. A part is
    named after what it holds, so that no name ever stands for two contents.
    """
    with writing(root):
        fresh = without_known(root, table)
        names = zip(fresh["source"].to_pylist(), fresh["interaction_id"].to_pylist(), strict=True)
        digest = hashlib.sha256(repr(list(names)).encode()).hexdigest()[:16]
        return write_part(root, fresh, part=f"{kind}-{digest}")


def write_part(root: Path, table: pa.Table, *, part: str) -> int:
    """Writes rows of SCHEMA under the name `part`, a file for each day; gives the number of rows.

    For a writer of its own names, such as the simulator: the same name replaces the same rows.
    """
    days = pc.strftime(table["event_time"], "%Y-%m-%d")
    for day in pc.unique(days).to_pylist():
        folder = root / f"date={day}"
        folder.mkdir(parents=True, exist_ok=True)
        rows = table.filter(pc.equal(days, day)).sort_by("event_time")
        write_whole(rows, folder / f"{part}.parquet")
    return len(table)


def write_whole(table: pa.Table, path: Path, *, rows_a_group: int | None = None) -> None:
    """Writes a Parquet file that is either complete or absent."""
    unfinished = path.with_suffix(".unfinished")
    pq.write_table(table, unfinished, compression="zstd", row_group_size=rows_a_group)
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    unfinished.replace(path)


def as_table(interactions: Sequence[Interaction]) -> pa.Table:
    """Interactions as rows of SCHEMA."""
    columns = {name: [getattr(each, name) for each in interactions] for name in SCHEMA.names}
    columns["attributes"] = [list(each.items()) for each in columns["attributes"]]
    arrays = [pa.array(columns[field.name], field.type) for field in SCHEMA]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def parts(root: Path, *, day: str = "date=*") -> list[Path]:
    """The files that hold the history, oldest day first: each row stands in exactly one.

    A folder is listed file by file: one look may miss both what a compaction took away and what
    it put there. Two looks that agree cannot.
    """
    while True:
        seen = files(root, day=day)
        try:
            live = _live(seen)
        except FileNotFoundError:
            continue
        if seen == files(root, day=day):
            return live


def files(root: Path, *, day: str = "date=*") -> list[Path]:
    """All files of the history, also those that only readers of an earlier moment still read."""
    found = (each for each in root.glob(f"{day}/*") if each.suffix in (PART, COMPACTED))
    return sorted(found)


def replaced_by(file: Path) -> list[Path]:
    """The parts in whose place a compacted file stands."""
    names = json.loads((pq.read_schema(file).metadata or {}).get(REPLACES, b"[]"))
    return [file.with_name(f"{name}{PART}") for name in names]


def _live(seen: Sequence[Path]) -> list[Path]:
    there = set(seen)
    compacted = [each for each in seen if each.suffix == COMPACTED]
    hidden = {part for each in compacted for part in replaced_by(each)}
    hidden |= {each for each in compacted if each.with_suffix(PART) in there}  # two names, one file
    return [each for each in seen if each not in hidden]


def read_parts(root: Path, read: Callable[[list[Path]], Read], *, day: str = "date=*") -> Read:
    """What `read` makes of the parts; of the newer ones, where some went away meanwhile."""
    while True:
        found = parts(root, day=day)
        try:
            return read(found)
        except (FileNotFoundError, duckdb.IOException):
            if all(each.exists() for each in found):
                raise


def is_empty(root: Path) -> bool:
    """Whether no part has been written."""
    return next(root.glob(f"date=*/*{PART}"), None) is None


def without_known(root: Path, table: pa.Table) -> pa.Table:
    """The rows whose (source, interaction_id) stands neither in the history nor earlier."""
    with duckdb.connect() as database:
        database.register("arriving", _numbered(table))
        kept = read_parts(
            root,
            lambda found: database.sql(
                f"""
            SELECT min(row) AS row FROM arriving
            ANTI JOIN ({_ids(found)}) AS known USING (source, interaction_id)
            GROUP BY source, interaction_id ORDER BY row
            """
            ).to_arrow_table(),
        )
    return table.take(kept["row"])


def _ids(found: list[Path]) -> str:
    if not found:
        return "SELECT NULL AS source, NULL AS interaction_id WHERE false"
    return f"SELECT source, interaction_id FROM {scan_of(found)}"


def _numbered(table: pa.Table) -> pa.Table:
    return table.select(["source", "interaction_id"]).append_column(
        "row", pa.array(range(len(table)), pa.int64())
    )


def newest(root: Path, *, max_records: int, rows_a_batch: int = 200_000) -> Iterator[pa.Table]:
    """Each customer's newest interactions, in batches of rows of SCHEMA plus `customer_key`.

    Where the last of them share a tick, all that do: which of them are kept is for merging to say.
    A customer's rows may fall into two batches.
    """
    if is_empty(root):
        return
    with duckdb.connect() as database:
        query = f"""
            CREATE OR REPLACE TEMP TABLE newest AS
            SELECT *, {CUSTOMER_KEY} AS customer_key FROM {{}}
            QUALIFY rank() OVER (
                PARTITION BY customer_key
                ORDER BY epoch_us(event_time) * {TICKS_PER_SECOND} // 1000000 DESC
            ) <= {int(max_records)}
            ORDER BY customer_key
            """
        read_parts(root, lambda found: database.execute(query.format(scan_of(found))))
        for batch in database.sql("FROM newest").to_arrow_reader(rows_a_batch):
            yield pa.Table.from_batches([batch])


CUSTOMER_KEY = f"coalesce(customer_id, '{ANONYMOUS}' || anonymous_id)"
"""SQL for interaction.customer_key."""


def count(root: Path) -> int:
    """How many interactions the history holds."""
    return read_parts(root, lambda found: sum(pq.read_metadata(each).num_rows for each in found))


def scan(root: Path) -> str:
    """DuckDB's SQL for all rows of a history that is not empty, as it is at this moment."""
    return scan_of(parts(root))


def scan_of(found: Sequence[Path]) -> str:
    """DuckDB's SQL for all rows of some parts."""
    columns = ", ".join(SCHEMA.names)
    names = ", ".join(_quoted(str(each)) for each in found)
    return f"(SELECT {columns} FROM read_parquet([{names}], hive_partitioning = false))"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
