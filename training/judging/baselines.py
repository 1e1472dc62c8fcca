"""What a model must beat: popularity, repeats, steps from the last item, similar sessions.

N examples   V items   X type codes   U types and silence
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from features.encoding import ItemIndex
from features.record import RECORD, unpack
from training.data.questions import NONE, Questions
from training.data.sequences import Sequences
from training.data.steps import NO_STEPS, Steps, add_steps, item_indices
from training.judging.examples import Examples
from training.judging.neighbours import (
    NO_SESSIONS,
    Neighbourhood,
    add_sessions,
    neighbourhood,
    votes,
)

LITTLE = 1e-3  # below what any vote counts
SMOOTHING = 10.0  # so many answers of the overall kind are added to those after each type


@dataclass(frozen=True, slots=True)
class Counts:
    """What the baselines know of the history to learn from."""

    items: ItemIndex
    popularity_V: np.ndarray
    popularity_by_channel: dict[int, np.ndarray]  # by channel code
    steps: Steps
    answer_XU: np.ndarray  # answers by the type of the last record; 0 for none
    neighbourhood: Neighbourhood


Score = Callable[[Counts, Sequence[np.ndarray]], np.ndarray]


# ---- Counting ----------------------------------------------------------------------------------


def count(
    batches: Iterable[Sequences],
    ask_all: Callable[[Sequences], Questions],
    items: ItemIndex,
    type_count: int,
) -> Counts:
    """Counts everything in the batches once."""
    V = len(items.item_ids)
    popularity_V = np.zeros(V, np.int64)
    by_channel: dict[int, np.ndarray] = {}
    steps, sessions = NO_STEPS, NO_SESSIONS
    answer_XU = np.zeros((256, type_count + 1), np.int64)
    for sequences in batches:
        columns = unpack(sequences.records)
        item_N = item_indices(columns.item, items)
        for channel in np.unique(columns.channel).tolist():
            counted_V = _bincount(item_N[columns.channel == channel], V)
            by_channel[channel] = by_channel.get(channel, 0) + counted_V
            popularity_V += counted_V
        steps = add_steps(steps, sequences, items)
        sessions = add_sessions(sessions, sequences, items)
        questions = ask_all(sequences)
        known = questions.type_P != NONE
        record = questions.record_P[known]
        code = np.where(record == NONE, 0, columns.type[record])
        np.add.at(answer_XU, (code, questions.type_P[known]), 1)
    near = neighbourhood(sessions, V)
    return Counts(items, popularity_V, by_channel, steps, answer_XU, near)


def _bincount(item_N: np.ndarray, V: int) -> np.ndarray:
    return np.bincount(item_N[item_N >= 0], minlength=V)


# ---- Items -------------------------------------------------------------------------------------


def named_items(examples: Examples, items: ItemIndex) -> list[np.ndarray]:
    """The indices of the items in each history, oldest first."""
    hashes = [unpack(np.frombuffer(each, RECORD)).item for each in examples.histories]
    named = [item_indices(each, items) for each in hashes]
    return [each[each >= 0] for each in named]


def by_popularity(counts: Counts, named: Sequence[np.ndarray]) -> np.ndarray:
    """Scores (N, V): the same for everyone, below 1."""
    popular_V = counts.popularity_V / (counts.popularity_V.max(initial=0) + 1)
    return np.tile(popular_V.astype(np.float32), (len(named), 1))


def by_recency(counts: Counts, named: Sequence[np.ndarray]) -> np.ndarray:
    """Scores (N, V): what the customer dealt with, the newest first; then by popularity."""
    score_NV = by_popularity(counts, named)
    for row, items in enumerate(named):
        score_NV[row, items] = 1 + np.arange(len(items))  # of an item's places the last stays
    return score_NV


def by_last_step(counts: Counts, named: Sequence[np.ndarray]) -> np.ndarray:
    """Scores (N, V): how often each item followed the last one; then by popularity."""
    score_NV = by_popularity(counts, named)
    V = score_NV.shape[1]
    for row, items in enumerate(named):
        for last in items[-1:]:
            start, end = np.searchsorted(counts.steps.code, [last * V, (last + 1) * V])
            score_NV[row, counts.steps.code[start:end] % V] += counts.steps.count[start:end]
    return score_NV


def by_neighbours(counts: Counts, named: Sequence[np.ndarray]) -> np.ndarray:
    """Scores (N, V): the votes of sessions like the customer's; then by popularity."""
    return votes(counts.neighbourhood, named) + LITTLE * by_popularity(counts, named)


# ---- Intent ------------------------------------------------------------------------------------


def intent_by_frequency(counts: Counts, examples: Examples) -> np.ndarray:
    """Probabilities (N, U): how often each answer came."""
    answer_U = counts.answer_XU.sum(axis=0)
    return np.tile(answer_U / answer_U.sum(), (len(examples), 1))


def intent_by_last_type(counts: Counts, examples: Examples) -> np.ndarray:
    """Probabilities (N, U): how often each answer came after the type of the last record."""
    frequency_U = counts.answer_XU.sum(axis=0) / counts.answer_XU.sum()
    answer_XU = counts.answer_XU + SMOOTHING * frequency_U
    code_N = [_last_type(each) for each in examples.histories]
    return (answer_XU / answer_XU.sum(axis=1, keepdims=True))[code_N]


def _last_type(history: bytes) -> int:
    records = np.frombuffer(history, RECORD)
    return int(unpack(records[-1:]).type[0]) if len(records) else 0
