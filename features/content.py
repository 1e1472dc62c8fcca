"""The content of an item: the features its description has, and the vector they add up to.

N items   W content features of an item   G buckets of a table   D width   H known features
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from zlib import crc32

import numpy as np

from features.item import Item
from features.record import amount_bucket

MAX_FEATURES = 16
BUCKETS_A_PRICE = 3  # amounts within a factor of 1.4 are alike
WORD = re.compile(r"[^\W_]+")
ITEMS_AT_ONCE = 1000  # bounds the memory that adding up takes


def features_of(item: Item) -> list[int]:
    """What is known of an item, the most telling first: the crc32 of each feature."""
    return [crc32(each.encode()) for each in _features(item)]


def _features(item: Item) -> Iterator[str]:
    if item.category:
        yield f"category {item.category}"
    if item.brand:
        yield f"brand {item.brand}"
    if item.price is not None:
        yield f"price {amount_bucket(item.price) // BUCKETS_A_PRICE}"
    for tag in item.tags:
        yield f"tag {tag}"
    for word in dict.fromkeys(WORD.findall(item.name.lower())):
        yield f"word {word}"


def content_rows(
    features: Sequence[Sequence[int]], known: Collection[int], buckets: int
) -> np.ndarray:
    """Rows (N, W) of a table of so many buckets, 0 for none; features that are not known count not.

    Of an item's known features the first MAX_FEATURES count.
    """
    rows = [
        [1 + each % (buckets - 1) for each in item if each in known][:MAX_FEATURES]
        for item in features
    ]
    content_NW = np.zeros((len(rows), max(map(len, rows), default=0) or 1), np.int64)
    for at, row in enumerate(rows):
        content_NW[at, : len(row)] = row
    return content_NW


@dataclass(frozen=True)
class Content:
    """What a model makes of descriptions, and of items that it was not trained on."""

    table_GD: np.ndarray  # row 0 is no feature: zeros
    cold_D1: np.ndarray  # what stands for an unseen item's own part: vector, then bias
    known_H: np.ndarray  # crc32 of the features that training knew

    @cached_property
    def _known(self) -> frozenset[int]:
        return frozenset(self.known_H.tolist())

    def vectors(self, items: Sequence[Item]) -> np.ndarray:
        """Vector and bias (N, D + 1), float32, of items that the model was not trained on."""
        vectors_ND1 = np.tile(self.cold_D1.astype(np.float32), (len(items), 1))
        for start in range(0, len(items), ITEMS_AT_ONCE):
            some = slice(start, start + ITEMS_AT_ONCE)
            features = [features_of(each) for each in items[some]]
            content_NW = content_rows(features, self._known, len(self.table_GD))
            vectors_ND1[some, :-1] += self.table_GD[content_NW].sum(1)
        return vectors_ND1
