"""Confidence sequences: the truth lies within them at every look, and not only at one."""

import math

import numpy as np
import pytest

from training.experiments.confidence import FEWEST, Moments, sure_difference, sure_mean

RUNS, CUSTOMERS, TRUTH, Z = 400, 4000, 0.5, 1.96


def moments(values: np.ndarray) -> Moments:
    return Moments(len(values), float(values.sum()), float((values**2).sum()))


def test_moments_add_up() -> None:
    both = moments(np.array([1.0, 2.0])) + moments(np.array([6.0]))
    assert both == Moments(3, 9.0, 41.0)
    assert (both.mean, both.variance) == (3.0, 7.0)
    assert math.isnan(Moments().mean)


def test_the_bounds_are_those_of_the_paper() -> None:
    """n = 2,000, s2 = 1, alpha = 0.05: n r2 = 5.991 + log(6.991) = 7.936, the same n it is for.

    sqrt(2 * 8.936 / (2000 * 7.936) * log(sqrt(8.936) / 0.05)) = 0.06787; for one look it is 0.0438.
    """
    found = sure_mean(Moments(2000, 1000.0, 500.0 + 1999.0))
    assert found.mean == 0.5
    assert found.high - 0.5 == pytest.approx(0.06787, rel=1e-3)
    assert 0.5 - found.low == pytest.approx(0.06787, rel=1e-3)


def test_two_equal_arms_are_twice_as_spread_as_one_number_a_customer() -> None:
    arm = Moments(1000, 0.0, 999.0)
    found = sure_difference(arm, arm)
    assert found.mean == 0
    assert found.high == pytest.approx(2 * 0.06787, rel=1e-3)


def test_few_customers_and_those_who_are_all_alike_bound_nothing() -> None:
    values = np.tile([0.0, 1.0], FEWEST // 2)
    few, many, alike = moments(values[1:]), moments(values), moments(np.zeros(FEWEST))
    assert sure_mean(few).high == math.inf
    assert sure_difference(few, many).low == -math.inf
    assert sure_difference(many, alike).high == math.inf
    assert sure_difference(many, many).high < 1


def test_the_truth_lies_within_at_all_looks_where_usual_intervals_lose_it() -> None:
    """400 experiments, each looked at after every customer from the 100th to the 4,000th.

    One in ten customers is in the smaller arm. Values are skewed, as purchases are: most are 0.
    """
    rng = np.random.default_rng(7)
    lost, usually_lost = 0, 0
    for _ in range(RUNS):
        small = rng.random(CUSTOMERS) < 0.1
        values = rng.exponential(1.0, CUSTOMERS) * (rng.random(CUSTOMERS) < 0.5)
        values += TRUTH * small
        looks = [_cumulated(values * chosen, chosen) for chosen in (small, ~small)]
        off, usual = zip(*map(_missed, *looks), strict=True)
        lost += any(off)
        usually_lost += any(usual)
    assert lost / RUNS <= 0.05
    assert usually_lost / RUNS > 0.2


def _cumulated(values: np.ndarray, chosen: np.ndarray) -> list[Moments]:
    columns = np.cumsum(chosen), np.cumsum(values), np.cumsum(values**2)
    return [Moments(*each) for each in zip(*(each.tolist() for each in columns), strict=True)][::10]


def _missed(one: Moments, other: Moments) -> tuple[bool, bool]:
    """Whether the truth lies outside of our bounds, and of those of the normal law."""
    if min(one.count, other.count) < FEWEST:
        return False, False
    found = sure_difference(one, other)
    half = Z * math.sqrt(one.variance / one.count + other.variance / other.count)
    return not found.low <= TRUTH <= found.high, abs(found.mean - TRUTH) > half
