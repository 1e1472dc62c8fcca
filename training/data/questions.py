"""What is asked of a model, and the right answers: at each position of a customer's sequence.

A customer with n records has n + 1 positions: position p comes after p of them. The question at a
position is put between the record before it and the one after: in a channel, so long after the
last record, what comes next? The answer is silence where no predicted type comes within the
horizon.

P positions      C context fields
"""

from dataclasses import dataclass

import numpy as np

from features.encoding import context_of
from features.record import TICKS_PER_SECOND, Columns, unpack
from features.vocabulary import Vocabulary
from training.data.sequences import Sequences

NONE = -1
TICKS_PER_DAY = 86_400 * TICKS_PER_SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Which questions are put."""

    horizon_ticks: int
    since_tick: int = 0  # none earlier
    arrivals: float = 0.5  # how often the customer is just coming; else it is any moment before


@dataclass(frozen=True, slots=True)
class Questions:
    """One question and its answer at each position; type NONE where the answer is not known."""

    record_P: np.ndarray  # the last record, or NONE
    tick_P: np.ndarray
    context_PC: np.ndarray
    type_P: np.ndarray  # index into the predicted types; their number is silence
    item_P: np.ndarray  # item hash, 0 for none
    arriving_P: np.ndarray  # asked as the customer comes


def type_index(vocabulary: Vocabulary) -> np.ndarray:
    """The index of each type code among the predicted types; NONE for the others."""
    index = np.full(256, NONE)
    for at, name in enumerate(vocabulary.predicted):
        index[vocabulary.types[name].code] = at
    return index


def ask(
    sequences: Sequences, types: np.ndarray, asking: Asking, rng: np.random.Generator
) -> Questions:
    """Draws a question at each position of all customers, one customer after another."""
    columns = unpack(sequences.records)
    record_P, follow_P, next_P = _around(sequences, types[columns.type] != NONE)
    starting_P, ending_P = record_P == NONE, next_P == NONE
    last_P = np.where(starting_P, NONE, columns.tick[record_P])
    coming_P = columns.tick[next_P]
    # 1. The moment: as the customer comes, or any in the gap before the next record.
    silent_from_P = np.repeat(sequences.until, sequences.sizes + 1) - asking.horizon_ticks
    latest_P = np.where(follow_P == NONE, silent_from_P, columns.tick[follow_P])
    latest_P = np.where(ending_P, np.minimum(latest_P, silent_from_P), latest_P)
    earliest_P = np.where(starting_P, latest_P, np.maximum(last_P, asking.since_tick))
    tick_P = earliest_P + (rng.random(len(last_P)) * (latest_P - earliest_P)).astype(np.int64)
    arriving_P = ~ending_P & (next_P == follow_P) & (rng.random(len(last_P)) < asking.arrivals)
    tick_P = np.where(arriving_P, coming_P, tick_P)
    # 2. The answer.
    known_P = (earliest_P <= latest_P) & (tick_P >= asking.since_tick) & ~(starting_P & ending_P)
    silent_P = ending_P | (coming_P - tick_P > asking.horizon_ticks)
    type_P = np.where(silent_P, types.max() + 1, types[columns.type[next_P]])
    return Questions(
        record_P=record_P,
        tick_P=tick_P,
        context_PC=context_of(_channels(columns, record_P, next_P, silent_P, rng), tick_P, last_P),
        type_P=np.where(known_P, type_P, NONE),
        item_P=np.where(silent_P, 0, columns.item[next_P]),
        arriving_P=arriving_P,
    )


def _around(
    sequences: Sequences, predicted_N: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The records before and after each position, and the next one of a predicted type."""
    sizes = sequences.sizes
    end_P = np.repeat(sequences.ends, sizes + 1)
    follow_P = np.arange(len(end_P)) - np.repeat(np.arange(len(sizes)), sizes + 1)
    record_P = np.where(follow_P == np.repeat(sequences.starts, sizes + 1), NONE, follow_P - 1)
    beyond = len(predicted_N)
    next_N = np.where(predicted_N, np.arange(beyond), beyond)
    next_N = np.append(np.minimum.accumulate(next_N[::-1])[::-1], beyond)
    next_P = np.where(next_N[follow_P] < end_P, next_N[follow_P], NONE)
    return record_P, np.where(follow_P < end_P, follow_P, NONE), next_P


def _channels(
    columns: Columns,
    record_P: np.ndarray,
    next_P: np.ndarray,
    silent_P: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """The channel of what comes; before silence the last one, or any in which something came.

    Silence must not show in the channel: it has none of its own.
    """
    coming = columns.channel[next_P[~silent_P]]
    if not len(coming):
        return columns.channel[record_P]
    any_P = rng.choice(coming, len(record_P))
    stay_P = (record_P != NONE) & (rng.random(len(record_P)) < 0.5)
    quiet_P = np.where(stay_P, columns.channel[record_P], any_P)
    return np.where(silent_P, quiet_P, columns.channel[next_P])
