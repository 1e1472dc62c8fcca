"""The items that imports and the simulator found, as Parquet parts of which the newest wins."""

import hashlib
from pathlib import Path

import duckdb
import pyarrow as pa

from features.history.partitions import write_whole
from features.item import ITEM_SCHEMA
from features.settings import Home


def read_items(home: Home) -> pa.Table:
    """Every item, as its newest part has it: rows of ITEM_SCHEMA in the order of item_id."""
    parts = sorted(home.items.glob("*.parquet"))
    if not parts:
        return ITEM_SCHEMA.empty_table()
    with duckdb.connect() as database:
        newest = database.sql(
            "SELECT * EXCLUDE (filename) FROM read_parquet(?, filename = true) "
            "QUALIFY row_number() OVER (PARTITION BY item_id ORDER BY filename DESC) = 1 "
            "ORDER BY item_id",
            params=[[str(part) for part in parts]],
        ).to_arrow_table()
    return newest.cast(ITEM_SCHEMA)


def write_items(home: Home, items: pa.Table) -> int:
    """Adds a part with the items (ITEM_SCHEMA, one row an item) that are new or have changed.

    An item of which nothing but the id is known replaces none.
    """
    changed = _changed(read_items(home), items)
    if len(changed):
        home.items.mkdir(parents=True, exist_ok=True)
        write_whole(changed, home.items / f"{_next_name(home.items, changed)}.parquet")
    return len(changed)


def _changed(held: pa.Table, items: pa.Table) -> pa.Table:
    with duckdb.connect() as database:
        database.register("held", held)
        database.register("arriving", items)
        changed = database.sql(
            """
            SELECT * FROM arriving
            WHERE concat(name, category, brand, price) <> ''
                OR item_id NOT IN (SELECT item_id FROM held)
            EXCEPT SELECT * FROM held ORDER BY item_id
            """
        )
        return changed.to_arrow_table().cast(ITEM_SCHEMA)


def _next_name(folder: Path, items: pa.Table) -> str:
    """A number that sorts after every part, and a digest that tells two writers apart."""
    numbers = [int(part.name.split("-")[0]) for part in folder.glob("*.parquet")]
    digest = hashlib.sha256(repr(items.to_pylist()).encode()).hexdigest()[:8]
    return f"{max(numbers, default=0) + 1:08d}-{digest}"
