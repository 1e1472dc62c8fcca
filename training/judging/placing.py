"""Where right items stand among all, and which items stand on top: one pass over the scores.

N examples   W columns of scores   K places
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from training.judging.evaluation import DEPTHS, best, ranks
from training.judging.examples import Examples

Scores = Callable[[Examples], Iterable[tuple[Examples, np.ndarray]]]
"""Some of the examples at a time, in their order, with a score for each column."""
Columns = Callable[[np.ndarray], np.ndarray]
"""The columns of item hashes; negative where there is none."""


@dataclass(frozen=True, slots=True)
class Places:
    """What came of scoring all examples."""

    rank_N: np.ndarray
    top_NK: np.ndarray  # columns, best first


def place(scores: Scores, columns: Columns, examples: Examples) -> Places:
    """Every example by its own history."""
    ranked, tops = [], []
    for some, score_NW in scores(examples):
        ranked.append(ranks(score_NW, columns(some.item_N)))
        tops.append(best(score_NW, max(DEPTHS)))
    return Places(np.concatenate(ranked), np.concatenate(tops))


def ranks_without_profile(scores: Scores, columns: Columns, examples: Examples) -> np.ndarray:
    """Ranks (N) when the histories may not be read: all that differs is the channel."""
    rank_N = np.full(len(examples), np.inf)
    for channel in np.unique(examples.channel_N):
        here = np.flatnonzero(examples.channel_N == channel)
        ((_, score_1W),) = scores(without_profile(examples[here[:1]]))
        column_N = columns(examples.item_N[here])
        rank_N[here] = _ranks_of(score_1W[0], column_N)
    return rank_N


def without_profile(examples: Examples) -> Examples:
    """The same questions about customers of whom nothing may be known."""
    return replace(examples, histories=(b"",) * len(examples))


def _ranks_of(score_W: np.ndarray, column_N: np.ndarray) -> np.ndarray:
    """As evaluation.ranks, where all have the same scores."""
    ordered = np.sort(score_W)
    right_N = score_W[np.maximum(column_N, 0)]
    below_N = np.searchsorted(ordered, right_N, side="left")
    until_N = np.searchsorted(ordered, right_N, side="right")
    middle_N = len(ordered) - until_N + (until_N - below_N + 1) / 2
    return np.where(column_N >= 0, middle_N, np.inf)
