"""Intervals by bootstrap: what they must hold for any values, and where they are known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.judging.intervals import Interval, Sample, difference, interval, intervals


def test_a_constant_has_no_spread() -> None:
    assert interval(np.full(6, 0.25), np.arange(6)) == Interval(0.25, 0.25, 0.25)


def test_the_interval_of_a_coin_is_that_of_the_normal_law() -> None:
    value_N = np.tile([0.0, 1.0], 500)
    found = interval(value_N, np.arange(1000))
    # The standard error is sqrt(0.25 / 1000) = 0.0158; 1.96 of them are 0.031.
    assert found.mean == 0.5
    assert found.low == pytest.approx(0.5 - 0.031, abs=0.004)
    assert found.high == pytest.approx(0.5 + 0.031, abs=0.004)


def test_examples_of_one_customer_count_as_one_draw() -> None:
    value_N = np.repeat(np.tile([0.0, 1.0], 50), 10)
    alone = interval(value_N, np.arange(1000))
    clustered = interval(value_N, np.repeat(np.arange(100), 10))
    # A tenth of the draws: intervals are wider by sqrt(10) = 3.16.
    width = (clustered.high - clustered.low) / (alone.high - alone.low)
    assert width == pytest.approx(3.16, rel=0.15)


def test_one_customer_bounds_nothing() -> None:
    assert interval(np.array([0.0, 1.0]), np.array([7, 7])) == Interval(-math.inf, 0.5, math.inf)


def test_without_examples_nothing_is_known() -> None:
    (found,) = intervals([Sample(np.ones(3), np.zeros(3, bool))], np.arange(3))
    assert math.isnan(found.mean)
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_only_the_chosen_count() -> None:
    chosen_N = np.array([True, True, False])
    (found,) = intervals([Sample(np.array([1.0, 1.0, 9.0]), chosen_N)], np.arange(3))
    assert found == Interval(1, 1, 1)


def test_pairs_tell_what_means_apart_cannot() -> None:
    hard_N = np.random.default_rng(0).random(400)
    found = difference(hard_N + 0.01, hard_N, np.arange(400))
    assert found.low == pytest.approx(0.01)
    assert found.high == pytest.approx(0.01)
    alone = interval(hard_N, np.arange(400))
    assert alone.high - alone.low > 0.04


def test_the_same_seed_gives_the_same_interval() -> None:
    value_N = np.random.default_rng(0).random(50)
    assert interval(value_N, np.arange(50)) == interval(value_N, np.arange(50))
    assert interval(value_N, np.arange(50)) != interval(value_N, np.arange(50), seed=2)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 5)), min_size=1, max_size=30))
def test_the_bounds_lie_among_the_values(pairs: list[tuple[float, int]]) -> None:
    value_N, customer_N = np.array(pairs).T
    (found,) = intervals([Sample(value_N)], customer_N, draws=60)
    assert value_N.min() - 1e-9 <= found.mean <= value_N.max() + 1e-9
    if len(set(customer_N.tolist())) > 1:
        assert value_N.min() - 1e-9 <= found.low <= found.high <= value_N.max() + 1e-9
