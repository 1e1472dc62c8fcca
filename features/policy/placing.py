"""Placing: how probably a policy puts each candidate into each of the first places.

The law of arbitration in full, of which arbitration tells the one number that came true: for
judging policies by what another one has logged.

K candidates of one decision   P places
"""

from collections.abc import Sequence

import numpy as np

from features.policy.declaration import Policy
from features.policy.exploring import chance


def placing(
    value_K: np.ndarray,
    open_K: np.ndarray,
    *,
    policy: Policy,
    k: int,
    pinned: Sequence[int] = (),
    new_K: np.ndarray | None = None,
) -> np.ndarray:
    """Probabilities (P, K) for the first places; what a row lacks to 1 is silence.

    `open_K` are those that may be offered, by `value_K` in descending order, but that those which
    are `pinned` come first, in their order; k are asked for. P are those that the policy draws.
    """
    exploration = policy.exploration
    probability_PK = np.zeros((exploration.places, len(value_K)))
    first = [each for each in pinned if open_K[each]]
    free_K = open_K.copy()
    free_K[first] = False
    filled = min(k, int(open_K.sum()), exploration.places)
    fixed = min(len(first), filled)
    probability_PK[np.arange(fixed), first[:fixed]] = 1.0
    grouped = new_K is not None and exploration.new_items > 0
    new_K = new_K & free_K if new_K is not None and grouped else np.zeros_like(free_K)
    counts = int(new_K.sum()), int((free_K & ~new_K).sum())
    new_share = exploration.new_items if grouped else 0.0
    place_P1 = np.arange(filled - fixed)[:, None]
    drawn_PF = chance(place_P1, new_K[free_K], *counts, new_share)
    probability_PK[fixed:filled, free_K] = exploration.share * drawn_PF
    order = np.lexsort((-value_K, ~free_K))[: filled - fixed]
    probability_PK[np.arange(fixed, filled), order] += 1 - exploration.share
    return probability_PK
