"""The value of slates, position by position.

N slates   K positions   A actions

Independent inverse propensity scoring (Li et al., 2018): a position's reward is taken to depend on
the context, the position and what stands there, not on what stands elsewhere. Then each position is
judged as a decision of its own, and a slate is worth the sum of its positions. Where what stands
above draws the eye away from what stands below, this assumption fails and the sum is biased.

A position that a slate does not have has weight, reward and model's expectation 0.
"""

import numpy as np

from training.offline.estimators import Ratio, mean
from training.offline.logged import must_all


def importance_by_position(probability_NK: np.ndarray, propensity_NK: np.ndarray) -> np.ndarray:
    """pi(a|x, k) / p(a|x, k), 0 where a slate has no such position: where the propensity is 0.

    ValueError names a propensity that cannot be, or a probability where there is no position.
    """
    if probability_NK.shape != propensity_NK.shape:
        shapes = f"{probability_NK.shape}; propensity_NK has {propensity_NK.shape}"
        raise ValueError(f"probability_NK has shape {shapes}")
    right_NK = (propensity_NK >= 0) & (propensity_NK <= 1)
    must_all(right_NK, "propensity_NK", propensity_NK, "in [0, 1]")
    right_NK = (probability_NK >= 0) & (probability_NK <= np.where(propensity_NK > 0, 1, 0))
    must_all(right_NK, "probability_NK", probability_NK, "in [0, 1], 0 where nothing was shown")
    return np.divide(
        probability_NK,
        propensity_NK,
        out=np.zeros(probability_NK.shape),
        where=propensity_NK > 0,
    )


def inverse_propensity(weight_NK: np.ndarray, reward_NK: np.ndarray) -> Ratio:
    """IIPS: the mean over slates of the weighted rewards of all their positions."""
    return mean((weight_NK * reward_NK).sum(axis=1))


def self_normalised(
    weight_NK: np.ndarray, reward_NK: np.ndarray, shown_NK: np.ndarray
) -> list[tuple[float, Ratio]]:
    """Each position's weighted mean reward times the share of slates that show it: terms to add."""
    share_K = shown_NK.mean(axis=0)
    return [
        (float(share), Ratio(weight_N * reward_N, weight_N))
        for share, weight_N, reward_N in zip(share_K, weight_NK.T, reward_NK.T, strict=True)
        if share
    ]


def doubly_robust(
    weight_NK: np.ndarray,
    reward_NK: np.ndarray,
    action_NK: np.ndarray,
    probability_NKA: np.ndarray,
    expected_NKA: np.ndarray,
) -> Ratio:
    """The model's word for each position, corrected by the log as for single decisions."""
    expected_NK = np.take_along_axis(expected_NKA, action_NK[..., None], axis=2)[..., 0]
    modelled_NK = (probability_NKA * expected_NKA).sum(axis=2)
    return mean((modelled_NK + weight_NK * (reward_NK - expected_NK)).sum(axis=1))
