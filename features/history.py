"""The one history: every interaction and transaction, as dated Parquet partitions.

    history/date=2026-11-22/<part>.parquet        rows of interaction.SCHEMA

A part is written once and never changed; files appear whole or not at all.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.interaction import ANONYMOUS, SCHEMA


def write_part(root: Path, table: pa.Table, *, part: str) -> int:
    """Adds rows of SCHEMA under the name `part`, a file for each day; gives the number of rows.

    The same name replaces the same rows: a writer that is cut off writes its part again.
    """
    days = pc.strftime(table["event_time"], "%Y-%m-%d")
    for day in pc.unique(days).to_pylist():
        folder = root / f"date={day}"
        folder.mkdir(parents=True, exist_ok=True)
        rows = table.filter(pc.equal(days, day)).sort_by("event_time")
        write_whole(rows, folder / f"{part}.parquet")
    return len(table)


def write_whole(table: pa.Table, path: Path) -> None:
    """Writes a Parquet file that is either complete or absent."""
    unfinished = path.with_suffix(".unfinished")
    pq.write_table(table, unfinished, compression="zstd")
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    unfinished.replace(path)


def is_empty(root: Path) -> bool:
    """Whether no part has been written."""
    return next(root.glob("date=*/*.parquet"), None) is None


def without_known(root: Path, table: pa.Table, *, but_for: str | None = None) -> pa.Table:
    """The rows whose (source, interaction_id) stands neither in the history nor earlier.

    What the part `but_for` holds does not count: its writer is about to write it again.
    """
    with duckdb.connect() as database:
        database.register("arriving", _numbered(table))
        known = "SELECT NULL AS source, NULL AS interaction_id WHERE false"
        if not is_empty(root):
            known = f"SELECT source, interaction_id FROM {scan(root, but_for)}"
        kept = database.sql(
            f"""
            SELECT min(row) AS row FROM arriving
            ANTI JOIN ({known}) AS known USING (source, interaction_id)
            GROUP BY source, interaction_id ORDER BY row
            """
        ).to_arrow_table()
    return table.take(kept["row"])


def _numbered(table: pa.Table) -> pa.Table:
    return table.select(["source", "interaction_id"]).append_column(
        "row", pa.array(range(len(table)), pa.int64())
    )


def newest(root: Path, *, max_records: int, rows_a_batch: int = 200_000) -> Iterator[pa.Table]:
    """Each customer's newest interactions, in batches of rows of SCHEMA plus `customer_key`.

    A customer's rows may fall into two batches.
    """
    if is_empty(root):
        return
    with duckdb.connect() as database:
        reader = database.sql(
            f"""
            SELECT *, {CUSTOMER_KEY} AS customer_key FROM {scan(root)}
            QUALIFY row_number() OVER (
                PARTITION BY customer_key ORDER BY event_time DESC, interaction_id DESC
            ) <= {int(max_records)}
            ORDER BY customer_key
            """
        ).to_arrow_reader(rows_a_batch)
        for batch in reader:
            yield pa.Table.from_batches([batch])


CUSTOMER_KEY = f"coalesce(customer_id, '{ANONYMOUS}' || anonymous_id)"
"""SQL for interaction.customer_key."""


def count(root: Path) -> int:
    """How many interactions the history holds."""
    parts = root.glob("date=*/*.parquet")
    return sum(pq.read_metadata(part).num_rows for part in parts)


def scan(root: Path, but_for: str | None = None) -> str:
    """DuckDB's SQL for all rows of a history that is not empty."""
    columns = ", ".join(SCHEMA.names)
    files = _quoted(str(root / "date=*" / "*.parquet"))
    rows = f"read_parquet({files}, hive_partitioning = false, filename = 'file')"
    kept = "true" if but_for is None else f"NOT ends_with(file, {_quoted(f'/{but_for}.parquet')})"
    return f"(SELECT {columns} FROM {rows} WHERE {kept})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
