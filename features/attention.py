"""The attention ledger: what turning to a customer has spent, in records that merge like a history.

A decision that spends attention leaves one record; that it was shown to the customer leaves another
of the same moment and decision. What was not shown in time counts as not spent: that is for whoever
reads the ledger. A record is 14 bytes whose order is time order, as in features.record:

    time 40 | shown 8 | channel 8 | 0 8 | cost 16 | decision 32

time      in ticks of features.record; later than every record before it
cost      in parts of 1/256
decision  a hash of the decision_id
"""

from collections.abc import Collection
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from features.record import RECORD_BYTES

MAX_ATTENTION_RECORDS = 64
PARTS = 256  # of one, in which costs are kept
MAX_COST = 255.0
TICK_BYTES = 5
SHOWN_AT = 5  # the byte that says so
DECISION_BYTES = 4  # at the end
RECORD = np.dtype(
    [
        *(("tick_high", ">u4"), ("tick_low", "u1")),
        *(("shown", "u1"), ("channel", "u1"), ("zero", "u1")),
        *(("cost", ">u2"), ("decision", ">u4")),
    ]
)


@dataclass(frozen=True, slots=True)
class Spendings:
    """What was spent, oldest first: one array a field, all of the same length."""

    tick: np.ndarray  # int64
    channel: np.ndarray  # code of the channel vocabulary
    cost: np.ndarray
    shown: np.ndarray  # whether the customer has seen it
    decision: np.ndarray  # decision_hash as a big-endian number, to join it with decisions


def spending(ledger: bytes, decision_id: str, *, cost: float, channel: int, now_tick: int) -> bytes:
    """The record of a decision that spends attention, to be appended to this ledger."""
    last = int.from_bytes(ledger[-RECORD_BYTES:][:TICK_BYTES], "big") if ledger else 0
    when = max(now_tick, last + 1)
    parts = round(cost * PARTS)
    return b"".join(
        (
            when.to_bytes(TICK_BYTES, "big"),
            bytes((0, channel, 0)),
            parts.to_bytes(2, "big"),
            decision_hash(decision_id),
        )
    )


def showings(ledger: bytes, decision_ids: Collection[str]) -> bytes:
    """The records that say of these decisions that they were shown; none for what spent nothing."""
    starts = range(0, len(ledger), RECORD_BYTES)
    held = {ledger[at : at + RECORD_BYTES] for at in starts}
    shown = {decision_hash(each) for each in decision_ids}
    said = {_as_shown(each) for each in held if each[-DECISION_BYTES:] in shown}
    return b"".join(sorted(said - held))


def spendings(ledger: bytes) -> Spendings:
    """What a ledger holds."""
    records = np.frombuffer(ledger, RECORD)
    is_showing = records["shown"] != 0
    spent = records[~is_showing]
    tick = spent["tick_high"].astype(np.int64) << 8 | spent["tick_low"]
    shown = np.isin(spent["decision"], records["decision"][is_showing])
    channel, cost = spent["channel"].astype(np.int64), spent["cost"] / PARTS
    return Spendings(tick, channel, cost, shown, spent["decision"].astype(np.int64))


def _as_shown(record: bytes) -> bytes:
    return record[:SHOWN_AT] + b"\1" + record[SHOWN_AT + 1 :]


def decision_hash(decision_id: str) -> bytes:
    """By what a ledger knows a decision."""
    return blake2b(decision_id.encode(), digest_size=DECISION_BYTES).digest()
