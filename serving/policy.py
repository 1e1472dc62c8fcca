"""The policy: pure functions from the model's scores to the ranked candidates of a decision.

K ranked   T predicted types   U types and silence   V items
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.vocabulary import SILENCE

Intents = tuple[tuple[str, float], ...]
"""Types with their probabilities, most probable first."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """One item that may be offered."""

    item_id: str
    score: float
    intents: Intents


def intents_of(intent_U: np.ndarray, types: Sequence[str]) -> Intents:
    """What kind of interaction comes next, silence included."""
    return _sorted((*types, SILENCE), intent_U.tolist())


def rank(
    item_K: np.ndarray,
    joint_KT: np.ndarray,
    *,
    item_ids: Sequence[str],
    types: Sequence[str],
    eligible_V: np.ndarray,
    excluded: frozenset[str],
    k: int,
) -> list[Ranked]:
    """The best `k` that are eligible and not excluded, in the model's order."""
    kept = [at for at in np.flatnonzero(eligible_V[item_K]) if item_ids[item_K[at]] not in excluded]
    best = kept[:k]
    scores = joint_KT[best].sum(axis=1).tolist()
    return [
        Ranked(item_ids[item_K[at]], score, _sorted(types, joint_T))
        for at, score, joint_T in zip(best, scores, joint_KT[best].tolist(), strict=True)
    ]


def most_popular(
    order: Sequence[int],
    *,
    item_ids: Sequence[str],
    eligible_V: np.ndarray,
    excluded: frozenset[str],
    k: int,
) -> list[Ranked]:
    """The first `k` of an order of popularity that are eligible and not excluded; without score."""
    best: list[Ranked] = []
    for index in order:
        if len(best) == k:
            break
        if eligible_V[index] and item_ids[index] not in excluded:
            best.append(Ranked(item_ids[index], 0.0, ()))
    return best


def _sorted(types: Sequence[str], probabilities: Sequence[float]) -> Intents:
    pairs = zip(types, probabilities, strict=True)
    return tuple(sorted(pairs, key=lambda pair: pair[1], reverse=True))
