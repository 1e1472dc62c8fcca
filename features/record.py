"""How an interaction is packed: 14 bytes whose byte order is time order.

A record is a big-endian word of 64 bits and one of 48, so that comparing bytes compares
(event_time, id). Redis rounds what it allocates up: 50 records of 14 bytes take 128 bytes less of
it than 50 of 15.

    head = time 40 | id 8 | value 8 | type 8        tail = item 43 | channel 5

time     in ticks of 1/256 s since 1970 (until 2106)
id       a hash of (source, interaction_id): tells apart what is else alike in the same tick
value    initiator (high bit) and the bucket of the amount of money (7 bits, log scale)
type     the code of the type vocabulary
item     a hash of item_id, 0 for none: two of a million items collide once in 18 catalogs
channel  the code of the channel vocabulary, 31 for any other channel
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from math import log2

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.interaction import Interaction
from features.vocabulary import Initiator, Vocabulary

RECORD = np.dtype([("head", ">u8"), ("tail_high", ">u4"), ("tail_low", ">u2")])
RECORD_BYTES = RECORD.itemsize
HEAD_BYTES = 8
TICKS_PER_SECOND = 256
TICK_SHIFT = 24  # of a head, to its tick
ITEM_BITS, CHANNEL_BITS = 43, 5
BUCKETS_PER_DOUBLING = 6  # neighbouring amounts differ by 12 %
COMPANY_BIT = 128
MAX_BUCKET = 127
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Columns:
    """Records unpacked: one array a field, all of the same length."""

    tick: np.ndarray  # int64, 1/256 s since 1970
    item: np.ndarray  # uint64, item_hash; 0 for none
    type: np.ndarray  # int32, type code
    channel: np.ndarray  # int32, channel code
    company: np.ndarray  # int32, 1 if the company began it
    bucket: np.ndarray  # int32, amount_bucket; 0 for no money


def item_hash(item_id: str) -> int:
    """43 bits that stand for an item id; never 0, which stands for no item."""
    digest = blake2b(item_id.encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big") >> 48 - ITEM_BITS or 1


def item_hashes(item_ids: Iterable[str]) -> np.ndarray:
    """item_hash of each id, as uint64."""
    return np.fromiter((item_hash(each) for each in item_ids), np.uint64)


def _id_hash(source: str, interaction_id: str) -> int:
    text = f"{source}\0{interaction_id}"
    return blake2b(text.encode(), digest_size=1).digest()[0]


def amount_bucket(amount: float | None) -> int:
    """0 without money; else 1..127, six buckets to each doubling of 1 + amount."""
    if amount is None:
        return 0
    return min(1 + round(BUCKETS_PER_DOUBLING * log2(1 + amount)), MAX_BUCKET)


def bucket_amount(bucket: int) -> float:
    """The amount in the middle of a bucket."""
    return float(2 ** ((bucket - 1) / BUCKETS_PER_DOUBLING) - 1) if bucket else 0.0


def tick(moment: datetime) -> int:
    """A moment in ticks since 1970, rounded down; exact integer arithmetic."""
    since = moment - EPOCH
    microseconds = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    return microseconds * TICKS_PER_SECOND // 1_000_000


def moment(tick: int) -> datetime:
    """The moment at which a tick begins."""
    return datetime.fromtimestamp(tick / TICKS_PER_SECOND, UTC)


def pack(interaction: Interaction, vocabulary: Vocabulary) -> bytes:
    """One interaction, checked before, as its record."""
    value = amount_bucket(interaction.amount)
    if interaction.initiator == Initiator.COMPANY:
        value |= COMPANY_BIT
    id_hash = _id_hash(interaction.source, interaction.interaction_id)
    type_code = vocabulary.types[interaction.type].code
    head = tick(interaction.event_time) << TICK_SHIFT | id_hash << 16 | value << 8 | type_code
    item = item_hash(interaction.item_id) if interaction.item_id else 0
    tail = item << CHANNEL_BITS | vocabulary.channel_code(interaction.channel)
    return head.to_bytes(8, "big") + tail.to_bytes(6, "big")


def pack_table(table: pa.Table, vocabulary: Vocabulary) -> np.ndarray:
    """Rows of the interaction schema as an array of RECORD, in row order; equals pack, row by row.

    Raises KeyError for a type that the vocabulary does not declare.
    """
    microseconds = table["event_time"].cast(pa.int64()).to_numpy()
    ticks = (microseconds * TICKS_PER_SECOND // 1_000_000).astype(np.uint64)
    names = zip(table["source"].to_pylist(), table["interaction_id"].to_pylist(), strict=True)
    ids = np.fromiter((_id_hash(*each) for each in names), np.uint64, len(table))
    items = _by_distinct(table["item_id"], lambda each: item_hash(each) if each else 0)
    types = _by_distinct(table["type"], lambda each: vocabulary.types[each].code)
    channels = _by_distinct(table["channel"], vocabulary.channel_code)
    company = _by_distinct(
        table["initiator"], lambda each: COMPANY_BIT if each == Initiator.COMPANY else 0
    )
    buckets = _by_distinct(table["amount"], amount_bucket)
    values = (company | buckets) << np.uint64(8)
    head = ticks << np.uint64(TICK_SHIFT) | ids << np.uint64(16) | values | types
    return records_of(head, items << np.uint64(CHANNEL_BITS) | channels)


def _by_distinct(column: pa.ChunkedArray, code) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Applies a function to each distinct value of a column; uint64, in row order."""
    encoded = pc.dictionary_encode(column, null_encoding="encode").combine_chunks()
    codes = np.array([code(each) for each in encoded.dictionary.to_pylist()], np.uint64)
    return codes[encoded.indices.to_numpy()]


def words(records: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Heads and tails of an array of RECORD, as uint64."""
    high = records["tail_high"].astype(np.uint64) << np.uint64(16)
    return records["head"].astype(np.uint64), high | records["tail_low"]


def records_of(head: np.ndarray, tail: np.ndarray) -> np.ndarray:
    """An array of RECORD of heads and tails (uint64): the reverse of words."""
    records = np.empty(len(head), RECORD)
    records["head"] = head
    records["tail_high"] = tail >> np.uint64(16)
    records["tail_low"] = tail & np.uint64(0xFFFF)
    return records


def unpack(records: np.ndarray) -> Columns:
    """The fields of an array of RECORD."""
    head, tail = words(records)
    value = ((head >> np.uint64(8)) & np.uint64(255)).astype(np.int32)
    return Columns(
        tick=(head >> np.uint64(TICK_SHIFT)).astype(np.int64),
        item=tail >> np.uint64(CHANNEL_BITS),
        type=(head & np.uint64(255)).astype(np.int32),
        channel=(tail & np.uint64((1 << CHANNEL_BITS) - 1)).astype(np.int32),
        company=value >> 7,
        bucket=value & MAX_BUCKET,
    )


def merge(held: bytes, arriving: bytes, *, max_records: int) -> bytes:
    """The newest records of both, oldest first, each once: any order of merges ends alike."""
    if not arriving and len(held) <= max_records * RECORD_BYTES:
        return held
    if not held and len(arriving) == RECORD_BYTES:
        return arriving
    if len(arriving) == RECORD_BYTES and held[-RECORD_BYTES:] < arriving:
        return (held + arriving)[-max_records * RECORD_BYTES :]
    every = {blob[at : at + RECORD_BYTES] for blob in (held, arriving) for at in _starts(blob)}
    return b"".join(sorted(every)[-max_records:])


def latest(records: bytes) -> bytes:
    """Of records that are alike in their tail, what they are about, only the newest; oldest first.

    So a topic of which something is said again and again takes the room of one record.
    """
    each = sorted(records[at : at + RECORD_BYTES] for at in _starts(records))
    newest = {record[HEAD_BYTES:]: record for record in each}
    return b"".join(sorted(newest.values()))


def _starts(blob: bytes) -> range:
    if len(blob) % RECORD_BYTES:
        raise ValueError(f"{len(blob)} bytes are no whole number of {RECORD_BYTES}-byte records")
    return range(0, len(blob), RECORD_BYTES)
