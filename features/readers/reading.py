"""What every reader gives: chunks of candidate interactions, and the items they are about.

A reader translates; it does not judge. Rows that it cannot translate are rejects of its own,
all others are judged by the one check of features.interaction.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.interaction import SCHEMA
from features.item import ITEM_SCHEMA
from features.rejects import Reject

ROWS_A_CHUNK = 50_000
TICK_US = 4_000  # just above the 1/256 s of a packed record
SECOND_US = 1_000_000
Seen = dict[tuple[str | None, int], int]
Column: TypeAlias = pa.Array | pa.ChunkedArray


class UnreadableSourceError(ValueError):
    """A source that cannot be read at all; the text names the value and what would be right."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of a source; `interactions` has those that could be translated, in file order."""

    interactions: pa.Table  # SCHEMA, not yet checked
    rows: np.ndarray  # int64: the number in its file of each interaction, from 1
    file: str
    rejects: Sequence[Reject] = ()  # rows that could not be translated

    @property
    def untranslated(self) -> int:
        """How many rows `interactions` lacks."""
        return len({each.row for each in self.rejects})


@dataclass(frozen=True, slots=True)
class Reading:
    """A source being read: `chunks` is consumed once, `items` is called after the last of them."""

    source: str
    path: Path
    chunks: Iterator[Chunk]
    items: Callable[[], pa.Table]  # ITEM_SCHEMA, not yet checked
    row_count: int | None = None  # where known beforehand


def as_interactions(columns: Mapping[str, Column | str], length: int) -> pa.Table:
    """Rows of SCHEMA: each column an array, a text that all rows share, or absent (null)."""
    arrays = []
    for each in SCHEMA:
        value = columns.get(each.name)
        if value is None:
            arrays.append(pa.nulls(length, each.type))
        elif isinstance(value, str):
            arrays.append(_repeated(value, each.type, length))
        else:
            arrays.append(value.cast(each.type))
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def as_items(columns: Mapping[str, Column | str]) -> pa.Table:
    """Rows of ITEM_SCHEMA: item_id, and of the others what is known of them."""
    length = len(columns["item_id"])
    unknown = {"name": "", "category": "", "brand": "", "unavailable": False, "tags": []}
    arrays = []
    for each in ITEM_SCHEMA:
        value = columns.get(each.name, unknown.get(each.name))
        if isinstance(value, pa.Array | pa.ChunkedArray):
            arrays.append(value.cast(each.type))
        else:
            arrays.append(_repeated(value, each.type, length))
    return pa.Table.from_arrays(arrays, schema=ITEM_SCHEMA)


def _repeated(value: object, kind: pa.DataType, length: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, kind), length) if length else pa.array([], kind)


def in_chunks(
    table: pa.Table, rows: np.ndarray, file: Path, rejects: Sequence[Reject] = ()
) -> Iterator[Chunk]:
    """Interactions that are already in memory, cut up so that progress can be seen."""
    yield Chunk(table.slice(0, ROWS_A_CHUNK), rows[:ROWS_A_CHUNK], file.name, rejects)
    for start in range(ROWS_A_CHUNK, len(table), ROWS_A_CHUNK):
        part = table.slice(start, ROWS_A_CHUNK)
        yield Chunk(part, rows[start : start + ROWS_A_CHUNK], file.name)


def position_ids(table: pa.Table, rows: np.ndarray) -> pa.Array:
    """Ids for rows that have none: the row's number and a digest of its text.

    The same file gives the same ids again; another row in the same place gets another id.
    """
    texts = [column.cast(pa.string()) for column in table.columns]
    joined = pc.binary_join_element_wise(
        *texts, "\x1f", null_handling="replace", null_replacement="\x1e"
    )
    digests = map(zlib.crc32, joined.cast(pa.binary()).to_pylist())
    return pa.array([f"{row}-{digest:08x}" for row, digest in zip(rows, digests, strict=True)])


def in_file_order(customers: Column, times: Column, seen: Seen) -> pa.Array:
    """Times such that each customer's rows of one time keep the order of the file.

    A file that knows the day, minute or second but no finer gives many rows one time; each then
    lies 4 ms, one tick of a record, after the one before. Times finer than a second stay.
    `seen` counts the rows of earlier chunks of the same file, and is brought up to date.
    """
    given = _whole(times).cast(pa.timestamp("us"))
    times_N = pc.fill_null(given.cast(pa.int64()), 0).to_numpy()
    encoded = pc.dictionary_encode(_whole(customers), null_encoding="encode")
    codes_N, names = encoded.indices.to_numpy(), encoded.dictionary.to_pylist()
    order = np.lexsort((times_N, codes_N))  # stable: within customer and time by row
    changes = np.diff(codes_N[order], prepend=-1) | np.diff(times_N[order], prepend=-1)
    starts = np.flatnonzero(changes)
    sizes = np.diff(starts, append=len(order))
    firsts = order[starts]
    coarse = times_N[firsts] % SECOND_US == 0
    keys = [(names[codes_N[at]], int(times_N[at])) for at in firsts]
    earlier = np.array([seen.get(key, 0) for key in keys], np.int64)
    seen.update(compress(zip(keys, (earlier + sizes).tolist(), strict=True), coarse))
    ordinals = np.arange(len(order)) - np.repeat(starts - earlier, sizes)
    spread_N = times_N.copy()
    spread_N[order] += np.repeat(coarse, sizes) * ordinals * TICK_US
    spread = pa.array(spread_N, mask=given.is_null().to_numpy(zero_copy_only=False))
    return spread.cast(SCHEMA.field("event_time").type)


def _whole(column: Column) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
