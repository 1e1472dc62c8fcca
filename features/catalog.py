"""The catalog, between the item parts of imports and training and the log that is its truth."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from features.catalog_parts import read_items, write_items
from features.item import ITEM_SCHEMA, Item
from features.log.contract import Log
from features.settings import Home


def load_items(home: Home, log: Log) -> int:
    """Puts the item parts that the catalog has not seen into it, oldest first; counts items."""
    seen, count = log.loaded_parts(), 0
    for part in _parts(home):
        if part.name not in seen:
            items = [Item(**row | {"tags": tuple(row["tags"])}) for row in _rows(part)]
            log.upsert_items(items, part=part.name)
            count += len(items)
    return count


def drain_items(home: Home, log: Log) -> int:
    """Writes what has changed in the catalog as an item part; deleted items as unavailable."""
    load_items(home, log)
    catalog = {item.item_id: asdict(item) for item in log.items()}
    deleted = (row for row in read_items(home).to_pylist() if row["item_id"] not in catalog)
    rows = [*catalog.values(), *(row | {"unavailable": True} for row in deleted)]
    before = _parts(home)
    count = write_items(home, pa.Table.from_pylist(rows, schema=ITEM_SCHEMA))
    for part in set(_parts(home)) - set(before):
        log.upsert_items((), part=part.name)
    return count


def _parts(home: Home) -> list[Path]:
    return sorted(home.items.glob("*.parquet"))


def _rows(part: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(part).to_pylist()
    return rows
