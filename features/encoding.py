"""How interactions become numbers for the model: the only place, in training and in serving.

B  customers in a batch      L  tokens a customer      F  fields of a token      C  of a context
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from features.record import RECORD, TICKS_PER_SECOND, item_hash, item_hashes, unpack
from features.vocabulary import OTHER_CHANNEL_CODE

SCHEMA_VERSION = 2
"""Changes whenever the same interaction would become another token."""

ITEM, TYPE, CHANNEL, INITIATOR, GAP, VALUE = range(6)
TOKEN_FIELDS = 6
FIELD_SIZES = {TYPE: 256, CHANNEL: OTHER_CHANNEL_CODE + 1, INITIATOR: 2, GAP: 64, VALUE: 128}
"""How many different numbers each field has; ITEM has as many as item_rows says."""

CONTEXT_CHANNEL, CONTEXT_GAP = range(2)
CONTEXT_FIELDS = 2

PADDING_ROW, NO_ITEM_ROW, UNKNOWN_ITEM_ROW = range(3)
FIRST_ITEM_ROW = 3
MAX_GAP = 63
GAPS_PER_DOUBLING = 2


@dataclass(frozen=True)
class ItemIndex:
    """The items that a model knows, in its own order; index i has token row FIRST_ITEM_ROW + i."""

    item_ids: tuple[str, ...]
    # How many interactions it has learnt from with each; None where that is not told.
    count_V: np.ndarray | None = field(default=None, compare=False, repr=False)

    @cached_property
    def _sorted(self) -> tuple[np.ndarray, np.ndarray]:
        hashes = item_hashes(self.item_ids)
        order = np.argsort(hashes, kind="stable")
        return hashes[order], order.astype(np.int32)

    @cached_property
    def index_by_id(self) -> dict[str, int]:
        """The index of each item id."""
        return {item_id: index for index, item_id in enumerate(self.item_ids)}

    @property
    def row_count(self) -> int:
        """How many rows the item embedding of a model with this index has."""
        return FIRST_ITEM_ROW + len(self.item_ids)

    def rows(self, hashes: np.ndarray) -> np.ndarray:
        """Token rows (int32) of item hashes (uint64); 0 is no item, others may be unknown."""
        known, index = self._sorted
        if not len(known):
            return np.where(hashes == 0, NO_ITEM_ROW, UNKNOWN_ITEM_ROW).astype(np.int32)
        at = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
        rows = np.where(known[at] == hashes, index[at] + FIRST_ITEM_ROW, UNKNOWN_ITEM_ROW)
        return np.where(hashes == 0, NO_ITEM_ROW, rows).astype(np.int32)


class FreshIndex:
    """Items that a model was not trained on, in order of arrival; more of them may come."""

    def __init__(self) -> None:
        """Holds none yet."""
        self.item_ids: list[str] = []
        self._hashes: list[int] = []
        self._index_by_hash: dict[int, int] = {}

    def add(self, item_id: str) -> None:
        """An item that it does not hold."""
        self._hashes.append(item_hash(item_id))
        self._index_by_hash[self._hashes[-1]] = len(self.item_ids)
        self.item_ids.append(item_id)

    def take(self, other: "FreshIndex", indexes: Sequence[int]) -> None:
        """Adds these items of another one, in this order, none of which it holds."""
        hashes = [other._hashes[each] for each in indexes]
        first = len(self.item_ids)
        self._index_by_hash.update(zip(hashes, range(first, first + len(hashes)), strict=True))
        self._hashes += hashes
        self.item_ids += [other.item_ids[each] for each in indexes]

    def rows(self, hashes: np.ndarray) -> np.ndarray:
        """As ItemIndex.rows. One by one: few items of a batch are fresh."""
        index = (self._index_by_hash.get(each) for each in hashes.tolist())
        rows = [UNKNOWN_ITEM_ROW if each is None else FIRST_ITEM_ROW + each for each in index]
        return np.array(rows, np.int32)


def gap_bucket(ticks: np.ndarray) -> np.ndarray:
    """Elapsed ticks (never negative) on a log scale of two buckets to a doubling, 1..63."""
    seconds = np.maximum(ticks, 0) / TICKS_PER_SECOND
    bucket = 1 + np.floor(GAPS_PER_DOUBLING * np.log2(1 + seconds))
    return np.minimum(bucket, MAX_GAP).astype(np.int32)


def rows_of(
    hashes: np.ndarray, items: ItemIndex, fresh: ItemIndex | FreshIndex | None
) -> np.ndarray:
    """Token rows (int32) of item hashes; those of fresh items follow the rows of `items`."""
    rows = items.rows(hashes)
    if fresh is not None and fresh.item_ids:
        unknown = np.flatnonzero(rows == UNKNOWN_ITEM_ROW)
        found = fresh.rows(hashes[unknown])
        rows[unknown] = np.where(found < FIRST_ITEM_ROW, found, found + len(items.item_ids))
    return rows


def tokens_of(
    records: np.ndarray,
    starts: np.ndarray,
    items: ItemIndex,
    fresh: ItemIndex | FreshIndex | None = None,
) -> np.ndarray:
    """Tokens (n, F) int32 of n records: customers one after another, each oldest first.

    `starts` holds the position of each customer's first record, whose gap is 0.
    """
    columns = unpack(records)
    tokens_NF = np.empty((len(records), TOKEN_FIELDS), np.int32)
    tokens_NF[:, ITEM] = rows_of(columns.item, items, fresh)
    tokens_NF[:, TYPE] = columns.type
    tokens_NF[:, CHANNEL] = columns.channel
    tokens_NF[:, INITIATOR] = columns.company
    tokens_NF[:, GAP] = gap_bucket(np.diff(columns.tick, prepend=columns.tick[:1]))
    tokens_NF[starts[starts < len(records)], GAP] = 0
    tokens_NF[:, VALUE] = columns.bucket
    return tokens_NF


def context_of(
    channels: Sequence[int] | np.ndarray, now_ticks: np.ndarray, last_ticks: np.ndarray
) -> np.ndarray:
    """Contexts (B, C) int32: channel code of each request, and the gap since the last record.

    A customer without records has last tick -1 and gap 0.
    """
    context_BC = np.empty((len(channels), CONTEXT_FIELDS), np.int32)
    context_BC[:, CONTEXT_CHANNEL] = channels
    gaps = gap_bucket(now_ticks - last_ticks)
    context_BC[:, CONTEXT_GAP] = np.where(last_ticks < 0, 0, gaps)
    return context_BC


def encode(
    histories: Sequence[bytes],
    channels: Sequence[int],
    now_ticks: np.ndarray,
    *,
    items: ItemIndex,
    max_length: int,
    fresh: ItemIndex | FreshIndex | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """What the model reads: tokens (B, L, F), padded on the left, and contexts (B, C).

    `histories` are packed records, oldest first; L is the longest of them, at least 1 and at
    most `max_length`; of a longer one the newest records count. `fresh` are items that the model
    has not been trained on, but has vectors of.
    """
    records = np.frombuffer(b"".join(histories), RECORD)
    sizes = np.array([len(each) for each in histories]) // RECORD.itemsize
    ends = np.cumsum(sizes)
    tokens_NF = tokens_of(records, ends - sizes, items, fresh)
    lengths = np.minimum(sizes, max_length)
    L = max(int(lengths.max(initial=1)), 1)
    tokens_BLF = np.zeros((len(histories), L, TOKEN_FIELDS), np.int32)
    for row, (end, length) in enumerate(zip(ends, lengths, strict=True)):
        tokens_BLF[row, L - length :] = tokens_NF[end - length : end]
    last_ticks = np.full(len(histories), -1, np.int64)
    if len(records):
        newest = unpack(records[np.maximum(ends - 1, 0)]).tick
        last_ticks = np.where(sizes > 0, newest, -1)
    return tokens_BLF, context_of(channels, now_ticks, last_ticks)
