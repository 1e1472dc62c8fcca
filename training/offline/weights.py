"""How much a logged decision counts for a policy that would have taken it more or less often.

N decisions
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Support:
    """How much of the log speaks for the new policy."""

    effective: float  # decisions: as many equally weighted ones would tell as much (Kish, 1965)
    largest: float  # weight of one decision
    largest_share: float  # of all weight, on one decision; NaN without any weight


def importance(probability_N: np.ndarray, propensity_N: np.ndarray) -> np.ndarray:
    """pi(a|x) / p(a|x): on average 1 if the logging policy can do all that the new one does."""
    return probability_N / propensity_N


def clipped(weight_N: np.ndarray, most: float) -> np.ndarray:
    """None above `most` (Ionides, 2008): less variance for a bias, which `bias` estimates."""
    return np.minimum(weight_N, most)


def switched(weight_N: np.ndarray, most: float) -> np.ndarray:
    """0 above `most`: doubly robust becomes switch-DR (Wang, Agarwal and Dudik, 2017)."""
    return np.where(weight_N <= most, weight_N, 0.0)


def shrunken(weight_N: np.ndarray, strength: float) -> np.ndarray:
    """w s / (w^2 + s): doubly robust becomes DRos (Su, Dimakopoulou et al., 2020)."""
    return weight_N * strength / (weight_N**2 + strength) if strength else 0.0 * weight_N


def bias(
    changed_N: np.ndarray,
    weight_N: np.ndarray,
    reward_N: np.ndarray,
    expected_N: np.ndarray | float = 0.0,
) -> float:
    """By how much estimates move when weights are changed: minus what the change leaves out.

    In the reward's unit; `expected_N` is the reward model's word for the logged action (DR). With
    rewards >= 0 and no model, clipping always makes a policy look worse than it is.
    """
    return float(np.mean((changed_N - weight_N) * (reward_N - expected_N)))


def support(weight_N: np.ndarray) -> Support:
    """Of these weights; without any weight the effective size is 0."""
    total, largest = float(weight_N.sum()), float(weight_N.max())
    if not total:
        return Support(0.0, 0.0, float("nan"))
    # Scaled by the largest, so that squares can neither overflow nor vanish.
    part_N = weight_N / largest
    effective = float(part_N.sum() ** 2 / (part_N**2).sum())
    return Support(effective, largest, largest / total)
