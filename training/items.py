"""The items that a model knows, and what their content says of them.

V items      W content features of an item
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zlib import crc32

import duckdb
import numpy as np

from features.catalog_parts import read_items
from features.encoding import ItemIndex
from features.record import amount_bucket
from features.settings import Home
from training.split import parts_of

MAX_FEATURES = 16
MAX_BUCKETS = 1 << 14
BUCKETS_A_PRICE = 3  # amounts within a factor of 1.4 are alike
WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class KnownItems:
    """The items, and the content features of each: rows of a table, 0 for none."""

    index: ItemIndex
    content_VW: np.ndarray
    buckets: int  # rows of the table


def known_items(home: Home, *, before: datetime) -> KnownItems:
    """Every item of the catalog, and every item that occurs in the history before a time."""
    described = {item["item_id"]: item for item in read_items(home).to_pylist()}
    item_ids = sorted(described.keys() | _occurring(home, before))
    features = [list(_features(described.get(each, {}))) for each in item_ids]
    return _hashed(ItemIndex(tuple(item_ids)), features)


def _occurring(home: Home, before: datetime) -> set[str]:
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        history = database.read_parquet([str(part) for part in parts_of(home)])
        rows = history.filter(f"event_time < '{before}' AND item_id <> ''").project("item_id")
        return {item_id for (item_id,) in rows.distinct().fetchall()}


def _features(item: dict[str, Any]) -> Iterator[str]:
    """What is known of an item, the most telling first."""
    if item.get("category"):
        yield f"category {item['category']}"
    if item.get("brand"):
        yield f"brand {item['brand']}"
    if item.get("price") is not None:
        yield f"price {amount_bucket(item['price']) // BUCKETS_A_PRICE}"
    for tag in item.get("tags", ()):
        yield f"tag {tag}"
    for word in dict.fromkeys(WORD.findall(item.get("name", "").lower())):
        yield f"word {word}"


def _hashed(index: ItemIndex, features: list[list[str]]) -> KnownItems:
    """What only one item has says no more than the item itself: it is left out."""
    counts = Counter(each for item in features for each in item)
    shared = [[each for each in item if counts[each] > 1][:MAX_FEATURES] for item in features]
    distinct = sum(count > 1 for count in counts.values())
    buckets = min(1 << (2 * distinct).bit_length(), MAX_BUCKETS)
    content_VW = np.zeros((len(shared), max(map(len, shared), default=0) or 1), np.int64)
    for row, item in enumerate(shared):
        content_VW[row, : len(item)] = [1 + crc32(each.encode()) % (buckets - 1) for each in item]
    return KnownItems(index, content_VW, buckets)
