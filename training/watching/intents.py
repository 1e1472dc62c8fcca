"""Whether the champion's intents still hold: what it expected to come against what came.

N moments   T predicted types   U types and silence
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from features.settings import Home
from features.vocabulary import Vocabulary
from training.data.questions import TICKS_PER_DAY, Asking, ask, type_index
from training.data.sequences import Sequences, in_batches, read_sequences
from training.data.split import Split
from training.judging.answering import answering
from training.judging.examples import draw
from training.learning.cluster import cluster
from training.publishing import Champion

MOMENTS = 5_000  # at most, drawn at random
CUSTOMERS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Intents:
    """Counts by type: what was expected, and what came."""

    expected: dict[str, float]
    came: dict[str, float]


def compare_intents(
    home: Home,
    champion: Champion,
    vocabulary: Vocabulary,
    *,
    window: Split,
    max_records: int,
) -> Intents:
    """Of moments in the window after which something came; raises ArtefactError.

    Silence is left out: whether it followed is not known before a horizon has passed.
    """
    artefact = answering(champion.directory, vocabulary, ())
    horizon = int(artefact.contract.horizon_days * TICKS_PER_DAY)
    asking = Asking(horizon_ticks=horizon, since_tick=window.test_tick)
    ask_all = partial(
        ask, types=type_index(vocabulary), asking=asking, rng=np.random.default_rng(1)
    )
    with cluster():
        batches = _sequences(home, vocabulary, window)
        moments, _ = draw(batches, ask_all, size=MOMENTS, max_records=max_records, seed=1)
    names = vocabulary.predicted
    spoken = moments[np.flatnonzero(moments.type_N < len(names))]
    if not len(spoken):
        return Intents({}, {})
    likely_NT = artefact.moments(spoken).intent_NU[:, :-1]
    expected_T = (likely_NT / likely_NT.sum(axis=1, keepdims=True)).sum(axis=0)
    came_T = np.bincount(spoken.type_N, minlength=len(names))
    return Intents(
        dict(zip(names, expected_T.tolist(), strict=True)),
        dict(zip(names, came_T.tolist(), strict=True)),
    )


def _sequences(home: Home, vocabulary: Vocabulary, window: Split) -> Iterator[Sequences]:
    return in_batches(read_sequences(home, vocabulary), CUSTOMERS_AT_ONCE, window)
