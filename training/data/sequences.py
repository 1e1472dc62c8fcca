"""The history as one sequence a customer, made by Ray Data piece by piece."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset
import ray
import ray.data

from features.identity import aliases_in
from features.interaction import ANONYMOUS, SCHEMA
from features.record import RECORD, RECORD_BYTES, pack_table, records_of, unpack, words
from features.settings import Home
from features.vocabulary import Vocabulary
from training.data.split import Split, parts_of

BYTES_A_TASK = 16 << 20  # of Parquet: what its rows take while they are dealt out is far more
ROWS_AT_ONCE = 1 << 17
MIN_TASKS = 2
MIN_PARTITIONS = 16
PARTITIONS_A_TASK = 2
PACKED = ["source", "interaction_id", "type", "channel", "initiator", "item_id", "amount"]
COLUMNS = [*PACKED, "event_time", "customer_id", "anonymous_id"]


@dataclass(frozen=True, slots=True)
class Sequences:
    """Some customers and their records, oldest first, one customer after another."""

    customers: list[str]
    records: np.ndarray  # of RECORD
    ends: np.ndarray  # where each customer's records end
    until: np.ndarray  # the tick from which on nothing is known of a customer

    @property
    def starts(self) -> np.ndarray:
        """Where each customer's records begin."""
        return self.ends - self.sizes

    @property
    def sizes(self) -> np.ndarray:
        """How many records each customer has."""
        return np.diff(self.ends, prepend=0)


def read_sequences(home: Home, vocabulary: Vocabulary) -> ray.data.Dataset:
    """Rows of customer and records: packed as the online store packs them, all that there are.

    Each task reads many daily files at once: ray.data.read_parquet spent 19 s listing the 123
    files of tmall, this takes 3 s in all.
    """
    tasks = [{"parts": "\n".join(parts)} for parts in _shares(home)]
    pack = partial(_pack, vocabulary=vocabulary, aliases=aliases_in(home.history))
    return (
        ray.data.from_items(tasks, override_num_blocks=len(tasks))
        .map_batches(pack, batch_size=1, batch_format="pyarrow")
        .repartition(max(MIN_PARTITIONS, PARTITIONS_A_TASK * len(tasks)), keys=["customer"])
        .map_batches(gather, batch_size=None, batch_format="pyarrow")
    )


def in_order(dataset: ray.data.Dataset) -> ray.data.Dataset:
    """The dataset held by Ray, its blocks in the order of their customers.

    Ray gives the same blocks each time, but in the order in which they happened to be ready.
    """
    blocks = dataset.materialize().get_internal_block_refs()
    firsts = ray.get([_first_customer.remote(block) for block in blocks])
    ordered = sorted(zip(firsts, range(len(blocks)), strict=True))
    return ray.data.from_arrow_refs([blocks[at] for first, at in ordered if first])


@ray.remote
def _first_customer(block: pa.Table) -> str:
    return str(block["customer"][0].as_py()) if len(block) else ""


def _shares(home: Home) -> list[list[str]]:
    """The parts, dealt out to tasks of about equal size."""
    parts = parts_of(home)
    count = max(MIN_TASKS, sum(part.stat().st_size for part in parts) // BYTES_A_TASK)
    return [[str(part) for part in parts[at::count]] for at in range(min(count, len(parts)))]


def _pack(task: pa.Table, vocabulary: Vocabulary, aliases: pa.Table) -> pa.Table:
    """Reads few rows at a time: packed they take far less memory."""
    parts = task["parts"][0].as_py().split("\n")
    schema = pa.schema([SCHEMA.field(name) for name in COLUMNS])
    files: Any = pa.dataset.dataset(parts, schema=schema, format="parquet")
    batches = files.to_batches(batch_size=ROWS_AT_ONCE, batch_readahead=1, fragment_readahead=1)
    some = chain([schema.empty_table()], (pa.Table.from_batches([each]) for each in batches))
    return pa.concat_tables([_packed(each, vocabulary, aliases) for each in some])


def _packed(rows: pa.Table, vocabulary: Vocabulary, aliases: pa.Table) -> pa.Table:
    head, tail = words(pack_table(rows, vocabulary))
    return pa.table({"customer": customers_of(rows, aliases), "head": head, "tail": tail})


def customers_of(rows: pa.Table, aliases: pa.Table) -> pa.ChunkedArray:
    """The customer key of each row; an anonymous history joined to a customer is theirs."""
    anonymous = pc.binary_join_element_wise(ANONYMOUS, rows["anonymous_id"], "")
    joined = aliases["customer_key"].take(pc.index_in(anonymous, aliases["alias"]))
    return pc.coalesce(rows["customer_id"], joined, anonymous)


def gather(packed: pa.Table) -> pa.Table:
    """Rows of customer, head and tail as one row a customer; a record given twice counts once."""
    names = pc.unique(packed["customer"]).sort()
    customer = pc.index_in(packed["customer"], names).to_numpy()
    head, tail = packed["head"].to_numpy(), packed["tail"].to_numpy()
    order = np.lexsort((tail, head, customer))
    customer, head, tail = customer[order], head[order], tail[order]
    fresh = np.ones(len(order), bool)
    same = (np.diff(customer) == 0) & (np.diff(head) == 0) & (np.diff(tail) == 0)
    fresh[1:] = ~same
    records = records_of(head[fresh], tail[fresh])
    ends = np.cumsum(np.bincount(customer[fresh], minlength=len(names)))
    offsets = pa.array(np.concatenate([[0], ends * RECORD_BYTES]), pa.int64())
    blobs = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(ends), [None, offsets.buffers()[1], pa.py_buffer(records.tobytes())]
    )
    return pa.table({"customer": names, "records": blobs})


def in_batches(
    dataset: ray.data.DataIterator | ray.data.Dataset, customers_a_batch: int, split: Split
) -> Iterator[Sequences]:
    """All sequences of a dataset, so many customers at a time."""
    batches: Iterable[Any] = dataset.iter_batches(
        batch_size=customers_a_batch, batch_format="pyarrow"
    )
    for table in batches:
        yield from sequences_in(table, customers_a_batch, split)


def sequences_in(table: pa.Table, customers_a_batch: int, split: Split) -> Iterator[Sequences]:
    """The sequences of a table, so many customers at a time."""
    for start in range(0, len(table), customers_a_batch):
        part = table.slice(start, customers_a_batch)
        yield sequences_of(part["customer"].to_pylist(), part["records"].to_pylist(), split)


def sequences_of(customers: list[str], histories: list[bytes], split: Split) -> Sequences:
    """Packed histories, one customer after another."""
    sizes = np.array([len(each) // RECORD_BYTES for each in histories], np.int64)
    until = np.full(len(customers), split.end_tick)
    return Sequences(customers, np.frombuffer(b"".join(histories), RECORD), np.cumsum(sizes), until)


def before(sequences: Sequences, until: np.ndarray) -> Sequences:
    """Of each customer what lies before a tick; customers of whom nothing does are left out."""
    ticks = unpack(sequences.records).tick
    kept = ticks < np.repeat(until, sequences.sizes)
    counts = np.add.reduceat(np.append(kept, False), sequences.starts, dtype=np.int64)
    known = np.flatnonzero(counts)
    customers = [sequences.customers[each] for each in known]
    return Sequences(customers, sequences.records[kept], np.cumsum(counts[known]), until[known])
