"""Histories from which something is left out: packed records, rewritten before a model sees them.

A record is two words: see features/record.py. What is zeroed in it is zero in its token.
"""

from dataclasses import dataclass, replace

import numpy as np

from features.record import (
    CHANNEL_BITS,
    COMPANY_BIT,
    MAX_BUCKET,
    RECORD,
    TICK_SHIFT,
    TICKS_PER_SECOND,
    records_of,
    unpack,
    words,
)
from features.vocabulary import Vocabulary
from training.judging.examples import Examples

GAP = 60 * TICKS_PER_SECOND  # between all interactions, where time gaps are left out


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """What is left out."""

    name: str
    types: tuple[str, ...] = ()  # interactions of all others; none where it is empty
    head: int = 0  # bits of each record's head and tail
    tail: int = 0
    timeless: bool = False  # when: only the order stays


UNIFIED = Ablation(name="unified history")
PURCHASES = Ablation(name="purchases only", types=("purchase",))
ABLATIONS = (
    UNIFIED,
    PURCHASES,
    Ablation(name="views only", types=("view",)),
    Ablation(name="without initiator", head=COMPANY_BIT << 8),
    Ablation(name="without money", head=MAX_BUCKET << 8),
    Ablation(name="without time gaps", timeless=True),
    Ablation(name="without channel", tail=(1 << CHANNEL_BITS) - 1),
)


def ablated(
    history: bytes, ablation: Ablation, vocabulary: Vocabulary, *, until_tick: int
) -> bytes:
    """A customer's packed records up to a tick, without what is to be left out."""
    records = np.frombuffer(history, RECORD)
    columns = unpack(records)
    kept = columns.tick < until_tick
    if ablation.types:
        kept &= np.isin(columns.type, [vocabulary.types[each].code for each in ablation.types])
    head, tail = words(records[kept])
    head, tail = head & ~np.uint64(ablation.head), tail & ~np.uint64(ablation.tail)
    if ablation.timeless:
        tick = until_tick - GAP * np.arange(len(head), 0, -1)
        below = head & np.uint64((1 << TICK_SHIFT) - 1)
        head = tick.astype(np.uint64) << np.uint64(TICK_SHIFT) | below
    return records_of(head, tail).tobytes()


def is_idle(ablation: Ablation, histories: list[bytes]) -> bool:
    """Whether what it zeroes is the same in all records, and so says nothing."""
    head, tail = words(np.frombuffer(b"".join(histories), RECORD))
    zeroed = np.unique(head & np.uint64(ablation.head)), np.unique(tail & np.uint64(ablation.tail))
    return bool(ablation.head or ablation.tail) and all(len(each) == 1 for each in zeroed)


def ablated_examples(examples: Examples, ablation: Ablation, vocabulary: Vocabulary) -> Examples:
    """The same questions after histories without it."""
    histories = tuple(
        ablated(history, ablation, vocabulary, until_tick=tick)
        for history, tick in zip(examples.histories, examples.tick_N.tolist(), strict=True)
    )
    channel_N = examples.channel_N & ~ablation.tail
    return replace(examples, histories=histories, channel_N=channel_N)
