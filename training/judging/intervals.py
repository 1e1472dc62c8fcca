"""How sure a mean is: intervals by bootstrap over customers, of one contender or of two.

A customer's examples are alike, so customers are drawn, not examples: each counts as often as a
Poisson variable of mean 1 says, which is drawing with replacement for as many as they are.

N examples   C customers   R draws   S samples: columns that are resampled alike
"""

from dataclasses import dataclass

import numpy as np

DRAWS = 1000
CONFIDENCE = 0.95
DRAWS_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean, and between which bounds it lies with the confidence asked for."""

    low: float
    mean: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.4f} [{self.low:.4f}, {self.high:.4f}]"


UNKNOWN = Interval(float("-inf"), float("nan"), float("inf"))


@dataclass(frozen=True, slots=True)
class Sample:
    """Values of some of the examples; the mean of those that are chosen is asked for."""

    value_N: np.ndarray
    chosen_N: np.ndarray | None = None  # bool; None for all


def interval(
    value_N: np.ndarray, customer_N: np.ndarray, *, confidence: float = CONFIDENCE, seed: int = 1
) -> Interval:
    """The mean of the values; without two customers nothing bounds it."""
    return intervals([Sample(value_N)], customer_N, confidence=confidence, seed=seed)[0]


def difference(
    value_N: np.ndarray,
    other_N: np.ndarray,
    customer_N: np.ndarray,
    *,
    confidence: float = CONFIDENCE,
    seed: int = 1,
) -> Interval:
    """By how much one contender is above another on the same examples, pair by pair."""
    return interval(value_N - other_N, customer_N, confidence=confidence, seed=seed)


def intervals(
    samples: list[Sample],
    customer_N: np.ndarray,
    *,
    confidence: float = CONFIDENCE,
    draws: int = DRAWS,
    seed: int = 1,
) -> list[Interval]:
    """One for each sample, all from the same draws."""
    if not samples:
        return []
    sum_CS, count_CS = _by_customer(samples, customer_N)
    mean_RS = _resampled(sum_CS, count_CS, draws=draws, seed=seed)
    tail = (1 - confidence) / 2
    bounds = [_bounds(mean_R, tail) for mean_R in mean_RS.T]
    customers = (count_CS > 0).sum(axis=0)
    totals = zip(sum_CS.sum(axis=0).tolist(), count_CS.sum(axis=0).tolist(), strict=True)
    return [
        Interval(low if several else -np.inf, total / count, high if several else np.inf)
        if count
        else UNKNOWN
        for (low, high), (total, count), several in zip(
            bounds, totals, (customers > 1).tolist(), strict=True
        )
    ]


def _bounds(mean_R: np.ndarray, tail: float) -> tuple[float, float]:
    known_R = mean_R[~np.isnan(mean_R)]
    if not len(known_R):
        return -np.inf, np.inf
    low, high = np.quantile(known_R, [tail, 1 - tail])
    return float(low), float(high)


def _by_customer(samples: list[Sample], customer_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums and counts (C, S) of the chosen values."""
    names, place_N = np.unique(customer_N, return_inverse=True)
    sums, counts = [], []
    for each in samples:
        chosen_N = np.ones(len(place_N), bool) if each.chosen_N is None else each.chosen_N
        at = place_N[chosen_N]
        sums.append(np.bincount(at, each.value_N[chosen_N], len(names)))
        counts.append(np.bincount(at, minlength=len(names)))
    return np.stack(sums, axis=1), np.stack(counts, axis=1).astype(float)


def _resampled(sum_CS: np.ndarray, count_CS: np.ndarray, *, draws: int, seed: int) -> np.ndarray:
    """The means (R, S) when customers are drawn anew; NaN where none of a sample was drawn."""
    rng = np.random.default_rng(seed)
    means = []
    for start in range(0, draws, DRAWS_AT_ONCE):
        size = (min(DRAWS_AT_ONCE, draws - start), len(sum_CS))
        weight_RC = rng.poisson(1.0, size).astype(float)
        count_RS = weight_RC @ count_CS
        with np.errstate(invalid="ignore"):
            means.append(np.where(count_RS > 0, weight_RC @ sum_CS / count_RS, np.nan))
    return np.concatenate(means)
