"""How sure an estimate is: standard error, and intervals by the normal law and by bootstrap.

N decisions   C customers   R draws   T terms   S sums of them

A customer's decisions are alike, so customers are what varies: errors are summed within a customer,
and the bootstrap draws customers (each as often as a Poisson variable of mean 1 says).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from training.judging.intervals import Interval
from training.offline.estimators import Ratio

CONFIDENCE = 0.95
DRAWS = 1000
DRAWS_AT_ONCE = 50

Sum = Sequence[tuple[float, Ratio]]  # factors and what they multiply


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value in the reward's unit, with all that says how far to trust it.

    With fewer than two customers, or nothing to divide by, the bounds are infinite.
    """

    value: float
    error: float  # standard error
    normal: Interval
    bootstrap: Interval

    @property
    def low(self) -> float:
        """The lower of the two lower bounds: rare large weights fool either."""
        return min(self.normal.low, self.bootstrap.low)

    @property
    def high(self) -> float:
        """The higher of the two upper bounds."""
        return max(self.normal.high, self.bootstrap.high)


def estimate(
    ratio: Ratio, customer_N: np.ndarray, *, confidence: float = CONFIDENCE, seed: int = 1
) -> Estimate:
    """The ratio, and how sure it is."""
    return estimated([[(1.0, ratio)]], customer_N, confidence=confidence, seed=seed)[0]


def lift(new: Ratio, old: Ratio) -> Sum:
    """By how much one is above the other on the same decisions: what they share cancels."""
    return [(1.0, new), (-1.0, old)]


def estimated(
    sums: Sequence[Sum],
    customer_N: np.ndarray,
    *,
    confidence: float = CONFIDENCE,
    seed: int = 1,
) -> list[Estimate]:
    """Each weighted sum of ratios, all resampled alike; ratios are linearised for the error."""
    names, place_N = np.unique(customer_N, return_inverse=True)
    terms = [term for each in sums for term in each]
    factor_T = np.array([factor for factor, _ in terms])
    upper_CT, lower_CT = (
        np.stack([np.bincount(place_N, each, len(names)) for each in columns], axis=1)
        for columns in ([r.upper_N for _, r in terms], [r.lower_N for _, r in terms])
    )
    begin_S = np.cumsum([0, *(len(each) for each in sums)])[:-1]
    value_S = np.add.reduceat(factor_T * [ratio.value for _, ratio in terms], begin_S)
    if len(names) < 2:
        return [_unbounded(value) for value in value_S.tolist()]
    with np.errstate(invalid="ignore"):  # nothing to divide by: NaN, and no bounds
        pull_CT = _pulls(upper_CT, lower_CT) * factor_T
        error_S = _errors(np.add.reduceat(pull_CT, begin_S, axis=1))
        value_RT = _resampled(upper_CT, lower_CT, seed) * factor_T
    value_RS = np.add.reduceat(value_RT, begin_S, axis=1)
    return [
        _estimate(value, error, value_R, confidence)
        for value, error, value_R in zip(
            value_S.tolist(), error_S.tolist(), value_RS.T, strict=True
        )
    ]


def _estimate(value: float, error: float, value_R: np.ndarray, confidence: float) -> Estimate:
    known_R = value_R[~np.isnan(value_R)]
    if np.isnan(value) or not len(known_R):
        return _unbounded(value)
    half = NormalDist().inv_cdf((1 + confidence) / 2) * error
    low, high = np.quantile(known_R, [(1 - confidence) / 2, (1 + confidence) / 2])
    normal = Interval(value - half, value, value + half)
    return Estimate(value, error, normal, Interval(float(low), value, float(high)))


def _unbounded(value: float) -> Estimate:
    nothing = Interval(-np.inf, value, np.inf)
    return Estimate(value, float("inf"), nothing, nothing)


def _pulls(upper_CT: np.ndarray, lower_CT: np.ndarray) -> np.ndarray:
    """By how much each customer moves each ratio (C, T)."""
    total_T = lower_CT.sum(axis=0)
    return (upper_CT - upper_CT.sum(axis=0) / total_T * lower_CT) / total_T


def _errors(pull_CS: np.ndarray) -> np.ndarray:
    """Standard errors (S): of independent customers, unbiased by C / (C - 1)."""
    count = len(pull_CS)
    return np.sqrt((pull_CS**2).sum(axis=0) * count / (count - 1))


def _resampled(upper_CT: np.ndarray, lower_CT: np.ndarray, seed: int) -> np.ndarray:
    """The ratios (R, T) when customers are drawn anew; NaN where nothing is to divide by."""
    rng, times_B = np.random.default_rng(seed), _poisson()
    found = []
    for _ in range(DRAWS // DRAWS_AT_ONCE):
        bits_RC = rng.integers(0, len(times_B), (DRAWS_AT_ONCE, len(upper_CT)), np.uint16)
        times_RC = times_B[bits_RC]
        found.append((times_RC @ upper_CT) / (times_RC @ lower_CT))
    return np.concatenate(found)


def _poisson() -> np.ndarray:
    """How often a customer is drawn for each value of 16 random bits: Poisson of mean 1.

    Looked up, because numpy's own generator takes many times as long, and logs are long.
    """
    share_B = (np.arange(1 << 16) + 0.5) / (1 << 16)
    below = np.cumsum([math.exp(-1) / math.factorial(times) for times in range(12)])
    return np.searchsorted(below, share_B).astype(float)
