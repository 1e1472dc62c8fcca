"""Point-in-time reads: what was known of a customer, and of an item, just before each decision.

B decisions    E events of the history, by customer, then in the order of records    C customers

A decision sees the interactions strictly before its time, as bytes that equal what the online store
would have held then. It sees those of an anonymous device from the identify interaction on that
joined the device to the customer. Customers are read in partitions, so that memory is bounded by
the size of a partition, not by that of the history.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.history.partitions import CUSTOMER_KEY, count, read_parts, scan_of, write_whole
from features.identity import IDENTIFY
from features.interaction import ANONYMOUS, SCHEMA
from features.record import (
    RECORD,
    RECORD_BYTES,
    TICK_SHIFT,
    TICKS_PER_SECOND,
    pack_table,
    words,
)
from features.vocabulary import Vocabulary

EVENTS_A_PARTITION = 4_000_000  # some 200 bytes each while they are read
DECISIONS_A_BATCH = 50_000
TICK_BITS = np.uint64(40)
TIME = pa.timestamp("us", tz="UTC")
PACKED = ("source", "interaction_id", "event_time", "item_id", "type", "channel", "initiator")
COLUMNS = (*PACKED, "amount")


@dataclass(frozen=True, slots=True)
class _Events:
    """The records of some customers, sorted, each once."""

    records_E: np.ndarray  # RECORD
    key_E: np.ndarray  # uint64: customer, then tick
    visible_us_E: np.ndarray  # int64: from when on it is known of the customer
    late_C: np.ndarray  # bool: some are known only later than they happened


def histories_at(
    root: Path,
    decisions: pa.Table,
    *,
    max_records: int,
    vocabulary: Vocabulary,
    events_a_partition: int = EVENTS_A_PARTITION,
) -> Iterator[pa.Table]:
    """Each customer's newest records before each decision, in batches of any order.

    `decisions` has columns customer_key and event_time; batches have those, `records` (oldest
    first, empty where nothing was known), and `decision`, the row's number in `decisions`.
    """
    keys = decisions["customer_key"].combine_chunks().cast(pa.string())
    times_us = decisions["event_time"].combine_chunks().cast(TIME).cast(pa.int64()).to_numpy()
    held = count(root)
    joins = _joins(root) if held else JOINS.empty_table()
    owners = _owners(keys, times_us, joins).dictionary_encode()
    code_B = owners.indices.to_numpy()
    partitions = max(1, -(-held // events_a_partition))
    for partition in range(partitions):
        members = np.arange(partition, len(owners.dictionary), partitions)
        rows = np.flatnonzero(code_B % partitions == partition)
        events = _read(root, owners.dictionary.take(members), joins, vocabulary, held)
        for start in range(0, len(rows), DECISIONS_A_BATCH):
            row_B = rows[start : start + DECISIONS_A_BATCH]
            customer_B = code_B[row_B] // partitions
            records = _windows(events, customer_B, times_us[row_B], max_records)
            batch = {"decision": pa.array(row_B), "customer_key": keys.take(row_B)}
            batch["event_time"] = pa.array(times_us[row_B]).cast(TIME)
            yield pa.table({**batch, "records": records})


def write_histories(folder: Path, batches: Iterator[pa.Table], *, name: str) -> int:
    """Writes batches of histories_at as Parquet parts, for Feast's offline store; gives the rows.

    A folder may hold the answers to several questions, each under a name of its own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = 0
    for number, batch in enumerate(batches):
        ordered = batch.drop_columns("decision").sort_by("customer_key")
        write_whole(ordered, folder / f"{name}-{number:05d}.parquet")
        rows += len(batch)
    return rows


JOINS = pa.schema([("alias", pa.string()), ("owner", pa.string()), ("joined_us", pa.int64())])


def _joins(root: Path) -> pa.Table:
    """Which device was joined to which customer, and when; of several joins the first holds."""
    query = f"""
        SELECT
            '{ANONYMOUS}' || anonymous_id AS alias,
            arg_min(customer_id, (event_time, interaction_id)) AS owner,
            epoch_us(min(event_time)) AS joined_us
        FROM {{}} WHERE type = '{IDENTIFY}' AND customer_id <> '' AND anonymous_id <> ''
        GROUP BY anonymous_id ORDER BY alias
    """
    with duckdb.connect() as database:
        found = read_parts(
            root, lambda parts: database.sql(query.format(scan_of(parts))).to_arrow_table()
        )
    return found.cast(JOINS)


def _owners(keys: pa.Array, times_us: np.ndarray, joins: pa.Table) -> pa.Array:
    """Whose history each decision is about: a device's own, until it was joined to a customer."""
    place = pc.index_in(keys, joins["alias"].combine_chunks())
    joined_us = joins["joined_us"].combine_chunks().take(place)
    joined = pc.fill_null(pc.less(joined_us, pa.array(times_us)), False)
    return pc.if_else(joined, joins["owner"].combine_chunks().take(place), keys)


def _read(
    root: Path, customers: pa.Array, joins: pa.Table, vocabulary: Vocabulary, held: int
) -> _Events:
    """All events of these customers, by their places in `customers`."""
    wanted = _wanted(customers, joins)
    if not held or not len(wanted):
        return _sorted(SCHEMA.empty_table(), wanted.slice(0, 0), len(customers), vocabulary)
    query = f"""
        SELECT {", ".join(COLUMNS)}, customer, joined_us
        FROM (SELECT *, {CUSTOMER_KEY} AS customer_key FROM {{}}) JOIN wanted USING (customer_key)
        WHERE type IN (SELECT unnest(?))
    """
    types = [list(vocabulary.types)]
    with duckdb.connect() as database:
        database.register("wanted", wanted)
        rows = read_parts(
            root,
            lambda parts: database.sql(query.format(scan_of(parts)), params=types).to_arrow_table(),
        )
    return _sorted(rows, rows, len(customers), vocabulary)


def _wanted(customers: pa.Array, joins: pa.Table) -> pa.Table:
    """The keys to read: the customers' own, and those of their devices, with when they joined."""
    place = pc.index_in(joins["owner"].combine_chunks(), customers)
    always = pa.repeat(pa.scalar(0, pa.int64()), len(customers))
    columns = {
        "customer_key": (customers, joins["alias"].combine_chunks()),
        "customer": (pa.array(range(len(customers)), pa.int32()), place),
        "joined_us": (always, joins["joined_us"].combine_chunks()),
    }
    table = pa.table({name: pa.concat_arrays(both) for name, both in columns.items()})
    return table.filter(pc.field("customer").is_valid())


def _sorted(rows: pa.Table, whose: pa.Table, customers: int, vocabulary: Vocabulary) -> _Events:
    customer_E, joined_us_E = whose["customer"].to_numpy(), whose["joined_us"].to_numpy()
    event_us_E = rows["event_time"].cast(TIME).cast(pa.int64()).to_numpy()
    visible_us_E = np.maximum(event_us_E, joined_us_E)
    late_C = np.zeros(customers, bool)
    late_C[customer_E[visible_us_E > event_us_E]] = True
    records_E = pack_table(rows, vocabulary)
    head_E, tail_E = words(records_E)
    order = np.lexsort((visible_us_E, tail_E, head_E, customer_E))
    customer_E, head_E, tail_E = customer_E[order], head_E[order], tail_E[order]
    once = np.ones(len(order), bool)  # of records that are alike, the one known first
    once[1:] = (np.diff(customer_E) != 0) | (np.diff(head_E) != 0) | (np.diff(tail_E) != 0)
    key_E = customer_E.astype(np.uint64) << TICK_BITS | head_E >> np.uint64(TICK_SHIFT)
    kept = order[once]
    return _Events(records_E[kept], key_E[once], visible_us_E[kept], late_C)


def _windows(
    events: _Events, customer_B: np.ndarray, time_us_B: np.ndarray, max_records: int
) -> pa.LargeBinaryArray:
    """The newest records before each time.

    A record's tick is coarser than its time: those of the decision's own tick, and all of customers
    with records that became known late, are judged one by one.
    """
    first = customer_B.astype(np.uint64) << TICK_BITS
    tick_B = (np.maximum(time_us_B, 0) * TICKS_PER_SECOND // 1_000_000).astype(np.uint64)
    start_B = np.searchsorted(events.key_E, first)
    before_B = np.searchsorted(events.key_E, first | tick_B)
    end_B = np.searchsorted(events.key_E, first | tick_B, side="right")
    newest_B = np.maximum(start_B, before_B - max_records)
    begin_B = np.where(events.late_C[customer_B], start_B, newest_B)
    size_B = end_B - begin_B
    offset_B = np.cumsum(size_B) - size_B
    event = np.arange(size_B.sum()) + np.repeat(begin_B - offset_B, size_B)
    seen = events.visible_us_E[event] < np.repeat(time_us_B, size_B)
    seen_before = np.concatenate([[0], np.cumsum(seen)])
    newer = np.repeat(seen_before[offset_B + size_B], size_B) - seen_before[1:]
    kept = seen & (newer < max_records)
    ends_B = np.concatenate([[0], np.cumsum(kept)])[offset_B + size_B]
    offsets = np.concatenate([[0], ends_B]).astype(np.int64) * RECORD_BYTES
    blob = events.records_E[event[kept]].astype(RECORD, copy=False).tobytes()
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(ends_B), [None, pa.py_buffer(offsets), pa.py_buffer(blob)]
    )


def rows_at(asked: pa.Table, table: pa.Table, *, key: str, time: str) -> pa.Table:
    """For each row of `asked` (key, event_time) the newest row of `table` at or before its time.

    Gives the table's columns but the key, in the order of `asked`; null where there is none.
    """
    names = table[key].combine_chunks().dictionary_encode()
    code_E, time_us_E = names.indices.to_numpy(), table[time].cast(TIME).cast(pa.int64()).to_numpy()
    order = np.lexsort((time_us_E, code_E))
    moments, rank_E = np.unique(time_us_E, return_inverse=True)
    place_E = (code_E.astype(np.int64) * (len(moments) + 1) + rank_E + 1)[order]
    found = pc.index_in(asked[key].combine_chunks(), names.dictionary)
    code_B = pc.fill_null(found, -1).to_numpy().astype(np.int64)
    asked_us_B = asked["event_time"].cast(TIME).cast(pa.int64()).to_numpy()
    rank_B = np.searchsorted(moments, asked_us_B, side="right")
    newest_B = np.searchsorted(place_E, code_B * (len(moments) + 1) + rank_B, side="right") - 1
    known = (code_B >= 0) & (newest_B >= 0)
    known[known] = code_E[order[newest_B[known]]] == code_B[known]
    rows = pa.array(order[np.maximum(newest_B, 0)] if len(order) else newest_B, mask=~known)
    named = (name for name in table.column_names if name != key)
    return pa.table({name: table[name].take(rows) for name in named})
