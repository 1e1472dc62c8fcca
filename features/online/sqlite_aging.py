"""Aging in the embedded online store: some customers' records in one transaction."""

import sqlite3
from dataclasses import dataclass

from features.privacy.aging import Aging, records_of, value_of
from features.record import RECORD_BYTES

CUSTOMERS_A_STEP = 1000


@dataclass(frozen=True, slots=True)
class Aged:
    """What became of some customers."""

    customer_count: int  # 0 when there are no more
    removed_count: int  # records
    last_key: bytes


def age(
    connection: sqlite3.Connection, table: str, feature: str, after: bytes, aging: Aging
) -> Aged:
    """Takes out of the next customers' records what is past its time; the caller commits."""
    rows = connection.execute(
        f"SELECT entity_key, value FROM {table} WHERE entity_key > ? AND feature_name = ? "
        "ORDER BY entity_key LIMIT ?",
        (after, feature, CUSTOMERS_A_STEP),
    ).fetchall()
    count = 0
    for key, value in rows:
        held = records_of(value)
        if past := aging.past(held):
            count += len(past) // RECORD_BYTES
            _write(connection, table, feature, key, _without(held, past))
    return Aged(len(rows), count, rows[-1][0] if rows else after)


def _without(held: bytes, past: bytes) -> bytes:
    gone = {past[at : at + RECORD_BYTES] for at in range(0, len(past), RECORD_BYTES)}
    each = (held[at : at + RECORD_BYTES] for at in range(0, len(held), RECORD_BYTES))
    return b"".join(record for record in each if record not in gone)


def _write(
    connection: sqlite3.Connection, table: str, feature: str, key: bytes, records: bytes
) -> None:
    where = "WHERE entity_key = ? AND feature_name = ?"
    if records:
        update = f"UPDATE {table} SET value = ? {where}"
        connection.execute(update, (value_of(records), key, feature))
    else:
        connection.execute(f"DELETE FROM {table} {where}", (key, feature))
