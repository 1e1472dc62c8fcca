"""Confidence sequences: intervals that hold at every look, however often one looks.

An interval for one look, looked at every day until it pleases, errs far more often than it says.
These are the asymptotic confidence sequences of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas
(Time-uniform central limit theory and asymptotic confidence sequences, 2021, arXiv 2103.06476,
theorem 2.2): with the confidence asked for, the truth lies within them at all looks together, once
there are enough customers for means to be nearly normal. After n customers with variance s2,

    mean +- s sqrt(2 (n r2 + 1) / (n2 r2) log(sqrt(n r2 + 1) / alpha)),

where r2 only says at which n they are tightest. The difference of two arms is the mean of one
number a customer, (x - mean) / (share of the arm) with the sign of the arm, added to the difference
of the means: section 3 there, without covariates. Its variance is n (s2 / n1 + s2' / n2).
"""

import math
from dataclasses import dataclass

from training.judging.intervals import Interval

CONFIDENCE = 0.95
TIGHTEST_AT = 2000  # customers; must not follow from the data
FEWEST = 100  # customers of an arm: below, values as skewed as purchases broke the promise


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, sum, and sum of squares of one number a customer; they add up."""

    count: int = 0
    sum: float = 0.0
    squares: float = 0.0

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.count + other.count, self.sum + other.sum, self.squares + other.squares)

    @property
    def mean(self) -> float:
        """NaN of nobody."""
        return self.sum / self.count if self.count else math.nan

    @property
    def variance(self) -> float:
        """Of the customers, unbiased; NaN of fewer than two."""
        if self.count < 2:
            return math.nan
        return max(self.squares - self.sum * self.mean, 0.0) / (self.count - 1)

    @property
    def tells(self) -> bool:
        """Whether bounds can be told: where all are alike, as of what is rare, none can."""
        return self.count >= FEWEST and self.variance > 0


def sure_mean(of: Moments, *, confidence: float = CONFIDENCE) -> Interval:
    """The mean, between bounds that hold at all times."""
    if not of.tells:
        return Interval(-math.inf, of.mean, math.inf)
    return _around(of.mean, _radius(of.count, of.variance, 1 - confidence))


def sure_difference(one: Moments, other: Moments, *, confidence: float = CONFIDENCE) -> Interval:
    """By how much the mean of one arm is above that of another, likewise."""
    mean = one.mean - other.mean
    if not (one.tells and other.tells):
        return Interval(-math.inf, mean, math.inf)
    count = one.count + other.count
    variance = count * (one.variance / one.count + other.variance / other.count)
    return _around(mean, _radius(count, variance, 1 - confidence))


def _radius(count: int, variance: float, alpha: float) -> float:
    tightest = -2 * math.log(alpha)
    r2 = (tightest + math.log(tightest + 1)) / TIGHTEST_AT
    grown = count * r2 + 1
    return math.sqrt(variance * 2 * grown / (count**2 * r2) * math.log(math.sqrt(grown) / alpha))


def _around(mean: float, radius: float) -> Interval:
    return Interval(mean - radius, mean, mean + radius)
