"""Sequences cut into windows that the model learns from, batched by length.

B windows   L positions of a window   N records   F token fields   C context fields   P positions
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from features.encoding import CONTEXT_GAP, GAP, TOKEN_FIELDS, ItemIndex, tokens_of
from training.data.questions import NONE, Questions
from training.data.sequences import Sequences

LENGTHS_ALIKE = 8
BARE_LENGTHS = (0, 0, 0, 0, 0, 1, 2, 3)
"""Interactions read without a profile, drawn alike: mostly none, else some that came along."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows as the model reads them, padded on the left, with the answers to learn."""

    tokens_BLF: np.ndarray
    context_BLC: np.ndarray
    type_BL: np.ndarray  # NONE where there is nothing to learn
    row_BL: np.ndarray  # token row of the item


@dataclass(frozen=True, slots=True)
class Windows:
    """Positions `start` to `end` of a customer are read, those from `learn` on are learnt."""

    start: np.ndarray
    learn: np.ndarray
    end: np.ndarray
    bare: np.ndarray  # bool: read as if the customer had no history before

    def __getitem__(self, index: np.ndarray) -> "Windows":
        return Windows(self.start[index], self.learn[index], self.end[index], self.bare[index])


def windows_of(sequences: Sequences, questions: Questions, max_length: int) -> Windows:
    """Windows over all positions with an answer; each is learnt once.

    One learnt from reads at least a quarter of what it would be given in serving: the more the
    windows overlap, the more is read in vain.
    """
    known_P = questions.type_P != NONE
    firsts = sequences.starts + np.arange(len(sequences.ends))
    cuts = []
    for first, beyond in zip(firsts, np.append(firsts[1:], len(known_P)), strict=True):
        known = np.flatnonzero(known_P[first:beyond])
        if len(known):
            cuts.append(_cut(first, first + known[0], first + known[-1] + 1, max_length))
    start, learn, end = np.concatenate(cuts or [np.zeros((3, 0), np.int64)], axis=1)
    return Windows(start, learn, end, np.zeros(len(end), bool))


def _cut(first: int, learn: int, end: int, max_length: int) -> np.ndarray:
    """Windows as rows start, learn, end."""
    step = max(max_length * 3 // 4, 1)
    whole = max(first + max_length, learn + step)
    learns = np.array([learn, *range(whole, end, step)])
    ends = np.append(learns[1:], end)
    return np.stack([np.maximum(ends - max_length, first), learns, ends])


def bare_windows(
    sequences: Sequences,
    questions: Questions,
    max_length: int,
    share: float,
    rng: np.random.Generator,
) -> Windows:
    """A share of the positions with an answer, each as of a customer without a profile.

    Serving reads nothing of them, or no more than came along with the request.
    """
    known = np.flatnonzero(questions.type_P != NONE)
    learn = known[rng.random(len(known)) < share]
    firsts = np.repeat(sequences.starts + np.arange(len(sequences.ends)), sequences.sizes + 1)
    length = np.minimum(rng.choice(BARE_LENGTHS, len(learn)), learn - firsts[learn])
    end = learn + 1
    return Windows(end - np.minimum(length, max_length), learn, end, np.ones(len(end), bool))


def batches(
    sequences: Sequences,
    questions: Questions,
    items: ItemIndex,
    *,
    max_length: int,
    positions_a_batch: int,
    rng: np.random.Generator,
    without_profile: float = 0.0,
) -> Iterator[Batch]:
    """All windows in random order, windows of like length together."""
    tokens_NF = tokens_of(sequences.records, sequences.starts, items)
    padded_NF = np.concatenate([tokens_NF, np.zeros((1, TOKEN_FIELDS), np.int32)])
    row_P = items.rows(questions.item_P.astype(np.uint64))
    windows = windows_of(sequences, questions, max_length)
    if without_profile:
        bare = bare_windows(sequences, questions, max_length, without_profile, rng)
        windows = _joined(windows, bare)
    for some in _batched(windows, positions_a_batch, rng):
        yield _gather(windows[some], padded_NF, questions, row_P)


def _joined(some: Windows, more: Windows) -> Windows:
    return Windows(
        np.concatenate([some.start, more.start]),
        np.concatenate([some.learn, more.learn]),
        np.concatenate([some.end, more.end]),
        np.concatenate([some.bare, more.bare]),
    )


def _batched(
    windows: Windows, positions_a_batch: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """The indices of the windows of each batch."""
    order = rng.permutation(len(windows.end))
    alike = (windows.end - windows.start)[order] // LENGTHS_ALIKE
    order = order[np.argsort(alike, kind="stable")]
    learnt = np.cumsum((windows.end - windows.learn)[order])
    cuts = np.flatnonzero(np.diff(learnt // positions_a_batch)) + 1
    groups = [group for group in np.split(order, cuts) if len(group)]
    return [groups[at] for at in rng.permutation(len(groups))]


def _gather(
    windows: Windows, padded_NF: np.ndarray, questions: Questions, row_P: np.ndarray
) -> Batch:
    L = max(int((windows.end - windows.start).max()), 1)
    at_BL = windows.end[:, None] - L + np.arange(L)
    read_BL, learnt_BL = at_BL >= windows.start[:, None], at_BL >= windows.learn[:, None]
    at_BL = np.maximum(at_BL, 0)
    record_BL = np.where(read_BL, questions.record_P[at_BL], NONE)  # the last row is padding
    tokens_BLF, context_BLC = padded_NF[record_BL], questions.context_PC[at_BL]
    tokens_BLF[windows.bare[:, None] & (at_BL == windows.start[:, None]), GAP] = 0
    context_BLC[~read_BL, CONTEXT_GAP] = 0
    return Batch(
        tokens_BLF=tokens_BLF,
        context_BLC=context_BLC,
        type_BL=np.where(learnt_BL, questions.type_P[at_BL], NONE),
        row_BL=row_P[at_BL],
    )
