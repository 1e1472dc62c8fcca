"""The decision log: decisions in the order of logging, until they are drained into Parquet.

Beside the interactions' log, not in it: a decision is worth less than an interaction, is written
without waiting for a disk, and must not keep an interaction waiting for the one writer of a SQLite
file. Embedded it is a SQLite file of its own, grown up a JetStream stream of its own. A message
holds the decisions of a moment, as a record batch of Arrow. What nobody drains is dropped, oldest
first, once it takes more than MAX_BYTES.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import pyarrow as pa

from features.decisions.decision import (
    FIRST_COLUMNS,
    SCHEMA,
    LoggedDecision,
    decisions_of,
    table_of,
)
from features.log.contract import LogError
from features.settings import FeatureSettings, Home

MAX_BYTES = 4 << 30
FORMAT = b"\x02"  # the first byte of a message; changes with SCHEMA
FORMATS = {b"\x01": pa.schema(list(SCHEMA)[:FIRST_COLUMNS]), FORMAT: SCHEMA}  # that are read

Kept = Callable[[pa.Table], pa.Table]
"""Gives the rows that are kept, and the very table that it was given if those are all."""


@dataclass(frozen=True, slots=True)
class Logged:
    """A message of the log."""

    position: int
    accept_tick: int  # see features.record.tick
    data: bytes


class Stream(Protocol):
    """An open decision log. One thread at a time; any number of processes. All raise LogError."""

    def append(self, message: bytes) -> None:
        """Adds a message. Whether it outlives a power failure at once, nobody asks."""

    def read(self, *, after: int, limit: int) -> list[Logged]:
        """About `limit` messages behind a position, in order."""

    def ends(self) -> tuple[int, int]:
        """The positions of the oldest and of the newest message; (0, 0) where there was none."""

    def remove(self, positions: Sequence[int]) -> None:
        """Takes messages out, overwriting their bytes."""

    def remove_up_to(self, position: int) -> None:
        """Takes out everything up to a position."""

    def close(self) -> None:
        """Lets go of it."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


def open_stream(settings: FeatureSettings) -> Stream:
    """The decision log that the settings name, created where there is none; raises LogError."""
    if settings.log_url:
        from features.decisions.nats import NatsStream  # its client is not for embedded use

        return NatsStream(settings.log_url, replicas=settings.log_replicas, tenant=settings.tenant)
    from features.decisions.sqlite import SqliteStream

    return SqliteStream(Home(settings.home).decision_log)


def encode(decisions: Sequence[LoggedDecision]) -> bytes:
    """Decisions as a message."""
    return encode_rows(table_of(decisions))


def encode_rows(rows: pa.Table) -> bytes:
    """Rows of SCHEMA as a message."""
    (batch,) = rows.combine_chunks().to_batches()
    return FORMAT + batch.serialize().to_pybytes()


def rows_of(message: bytes) -> pa.Table:
    """The rows of SCHEMA in a message; raises LogError for anything else."""
    if message[:1] not in FORMATS:
        raise LogError(f"{message[:8]!r} begins no message of decisions of this version")
    schema = FORMATS[message[:1]]
    try:
        batch = pa.ipc.read_record_batch(pa.py_buffer(message[1:]), schema)
    except (pa.ArrowInvalid, OSError) as error:
        raise LogError(f"a message of decisions cannot be read: {error}") from error
    rows = pa.Table.from_batches([batch])
    for each in list(SCHEMA)[len(schema) :]:
        rows = rows.append_column(each, pa.nulls(len(rows), each.type))
    return rows


def read_logged(stream: Stream) -> Iterator[list[LoggedDecision]]:
    """Everything that is in it, by messages."""
    for each in messages(stream):
        yield decisions_of(rows_of(each.data))


def messages(stream: Stream, *, after: int = 0, limit: int = 100) -> Iterator[Logged]:
    """Everything behind a position that is in it when it is come to."""
    while found := stream.read(after=after, limit=limit):
        yield from found
        after = found[-1].position


def rewrite(stream: Stream, kept: Kept) -> int:
    """Takes out, for good, the rows that are not kept; gives how many.

    What is left of such a message is added anew before it is removed. Cut off at any moment, it is
    simply done again. What others add meanwhile may be passed over.
    """
    count, newest = 0, stream.ends()[1]
    for each in messages(stream):
        if each.position > newest:
            break
        rows = rows_of(each.data)
        left = kept(rows)
        if left is not rows:
            count += len(rows) - len(left)
            if len(left):
                stream.append(encode_rows(left))
            stream.remove([each.position])
    return count
