"""What a model is judged on: questions of the newest part of the history, with the answers.

N examples
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from features.encoding import CONTEXT_CHANNEL
from training.data.questions import NONE, Questions
from training.data.sequences import Sequences


@dataclass(frozen=True, slots=True)
class Examples:
    """Requests as serving gets them, and what came next."""

    histories: tuple[bytes, ...]  # packed records, oldest first, as many as are kept online
    channel_N: np.ndarray
    tick_N: np.ndarray
    type_N: np.ndarray  # index into the predicted types; their number is silence
    item_N: np.ndarray  # item hash, 0 for none
    customer_N: np.ndarray  # a hash of whom it is about

    def __len__(self) -> int:
        return len(self.histories)

    def __getitem__(self, chosen: np.ndarray) -> "Examples":
        return Examples(
            tuple(self.histories[each] for each in chosen),
            self.channel_N[chosen],
            self.tick_N[chosen],
            self.type_N[chosen],
            self.item_N[chosen],
            self.customer_N[chosen],
        )


NOTHING = Examples(
    (),
    np.zeros(0, np.int32),
    np.zeros(0, np.int64),
    np.zeros(0, np.int64),
    np.zeros(0, np.uint64),
    np.zeros(0, np.uint32),
)


def draw(
    batches: Iterable[Sequences],
    ask_all: Callable[[Sequences], Questions],
    *,
    size: int,
    max_records: int,
    seed: int,
) -> tuple[Examples, int]:
    """At most `size` of the questions that have an answer, and of how many they are drawn.

    Each question draws a lot and those with the lowest stay, so that no more are ever held.
    """
    rng = np.random.default_rng(seed)
    kept, lots, count = NOTHING, np.zeros(0), 0
    for sequences in batches:
        questions = ask_all(sequences)
        places = np.flatnonzero(questions.type_P != NONE)
        every = np.concatenate([lots, rng.random(len(places))])
        lowest = np.argsort(every)[:size]
        old, new = lowest[lowest < len(lots)], lowest[lowest >= len(lots)] - len(lots)
        kept = _joined(kept[old], _at(places[new], sequences, questions, max_records))
        lots, count = every[np.concatenate([old, new + len(lots)])], count + len(places)
    return kept[np.argsort([len(each) for each in kept.histories], kind="stable")], count


def _at(
    places: np.ndarray, sequences: Sequences, questions: Questions, max_records: int
) -> Examples:
    ends = questions.record_P[places] + 1
    customers = np.repeat(np.arange(len(sequences.sizes)), sequences.sizes + 1)[places]
    starts = np.maximum(ends - max_records, sequences.starts[customers])
    spans = zip(starts.tolist(), ends.tolist(), strict=True)
    return Examples(
        tuple(sequences.records[start:end].tobytes() for start, end in spans),
        questions.context_PC[places, CONTEXT_CHANNEL],
        questions.tick_P[places],
        questions.type_P[places],
        questions.item_P[places],
        np.array([crc32(sequences.customers[each].encode()) for each in customers], np.uint32),
    )


def _joined(some: Examples, more: Examples) -> Examples:
    return Examples(
        some.histories + more.histories,
        np.concatenate([some.channel_N, more.channel_N]),
        np.concatenate([some.tick_N, more.tick_N]),
        np.concatenate([some.type_N, more.type_N]),
        np.concatenate([some.item_N, more.item_N]),
        np.concatenate([some.customer_N, more.customer_N]),
    )
