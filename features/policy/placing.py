"""Placing: how probably a policy puts each candidate into each of the first places.

The law of arbitration in full, of which arbitration tells the one number that came true: for
judging policies by what another one has logged.

K candidates of one decision   P places
"""

import numpy as np

from features.policy.declaration import Policy


def placing(value_K: np.ndarray, open_K: np.ndarray, *, policy: Policy, k: int) -> np.ndarray:
    """Probabilities (P, K) for the places that the policy draws; what a row lacks to 1 is silence.

    `open_K` are those that may be offered, by `value_K` in descending order; k are asked for.
    """
    share, count = policy.exploration.share, int(open_K.sum())
    probability_PK = np.zeros((policy.exploration.places, len(value_K)))
    filled = min(k, count, policy.exploration.places)
    if not filled:
        return probability_PK
    probability_PK[:filled, open_K] = share / count
    order = np.lexsort((-value_K, ~open_K))[:filled]
    probability_PK[np.arange(filled), order] += 1 - share
    return probability_PK
