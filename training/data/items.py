"""The items that a model knows, and what their content says of them.

V items      W content features of an item      H features that are known
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

import duckdb
import numpy as np

from features.catalog_parts import read_items
from features.content import content_rows, features_of
from features.encoding import ItemIndex
from features.item import Item
from features.settings import Home
from training.data.split import parts_of

MAX_BUCKETS = 1 << 14


@dataclass(frozen=True, slots=True)
class KnownItems:
    """The items, and the content features of each: rows of a table, 0 for none."""

    index: ItemIndex
    content_VW: np.ndarray
    buckets: int  # rows of the table
    feature_H: np.ndarray  # the features that have rows, as features.content.features_of has them


def known_items(
    home: Home, *, before: datetime, first: tuple[str, ...] = (), buckets: int = 0
) -> KnownItems:
    """Every item of the catalog, and every item that occurs in the history before a time.

    Those of a champion come `first`, in its order; 0 buckets are as many as the features need.
    """
    described = catalog_of(home)
    item_ids = (described.keys() | _occurring(home, before)).difference(first)
    ordered = [*first, *sorted(item_ids)]
    return describe([described.get(each, Item(item_id=each)) for each in ordered], buckets)


def catalog_of(home: Home) -> dict[str, Item]:
    """What is known of each item of the catalog."""
    rows = read_items(home).to_pylist()
    return {row["item_id"]: Item(**row | {"tags": tuple(row["tags"])}) for row in rows}


def _occurring(home: Home, before: datetime) -> set[str]:
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        history = database.read_parquet([str(part) for part in parts_of(home)])
        rows = history.filter(f"event_time < '{before}' AND item_id <> ''").project("item_id")
        return {item_id for (item_id,) in rows.distinct().fetchall()}


def describe(items: list[Item], buckets: int = 0) -> KnownItems:
    """What only one item has says no more than the item itself: it is left out."""
    features = [features_of(each) for each in items]
    counts = Counter(each for item in features for each in item)
    shared = {each for each, count in counts.items() if count > 1}
    buckets = buckets or min(1 << (2 * len(shared)).bit_length(), MAX_BUCKETS)
    return KnownItems(
        index=ItemIndex(tuple(each.item_id for each in items)),
        content_VW=content_rows(features, shared, buckets),
        buckets=buckets,
        feature_H=np.array(sorted(shared), np.uint32),
    )
