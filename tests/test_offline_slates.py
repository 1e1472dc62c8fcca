"""Slates judged position by position: values worked by hand, and agreement with single decisions.

Three slates of up to two positions; the third has only one:

    reward       1 0    0 1    2 -
    propensity   .5 .5  .25 .5  1 -
    pi           1 .5   .5 0   .5 -
    weight       2 1    2 0    .5 0
    weighted     2 0    0 0    1 0      sum 3
"""

import numpy as np
import pytest

from training.offline import estimators
from training.offline.certainty import estimate, estimated
from training.offline.logged import Logged
from training.offline.slates import (
    doubly_robust,
    importance_by_position,
    inverse_propensity,
    self_normalised,
)

REWARD = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]])
PROPENSITY = np.array([[0.5, 0.5], [0.25, 0.5], [1.0, 0.0]])
PROBABILITY = np.array([[1.0, 0.5], [0.5, 0.0], [0.5, 0.0]])
WEIGHT = importance_by_position(PROBABILITY, PROPENSITY)


def test_a_position_that_is_not_there_has_no_weight() -> None:
    assert WEIGHT.tolist() == [[2, 1], [2, 0], [0.5, 0]]


def test_a_slate_is_worth_the_sum_of_its_positions() -> None:
    ratio = inverse_propensity(WEIGHT, REWARD)
    assert ratio.upper_N.tolist() == [2, 0, 1]
    assert ratio.value == 1.0
    # They differ from 1 by 1, -1 and 0: the variance is 1.
    assert estimate(ratio, np.arange(3)).error == pytest.approx((1 / 3) ** 0.5)


def test_positions_are_normalised_each_by_itself() -> None:
    terms = self_normalised(WEIGHT, REWARD, PROPENSITY > 0)
    # First position: 3 / 4.5 in all slates. Second: 0 / 1 in two of three.
    assert [(share, ratio.value) for share, ratio in terms] == [(1, 3 / 4.5), (2 / 3, 0)]
    (found,) = estimated([terms], np.arange(3))
    assert found.value == pytest.approx(3 / 4.5)


def test_a_model_is_corrected_at_each_position() -> None:
    action_NK = np.array([[0, 1], [1, 0], [1, 0]])
    probability_NKA = np.stack([PROBABILITY, 1 - PROBABILITY], axis=2)
    probability_NKA[2, 1] = 0  # there is no such position
    nothing = doubly_robust(WEIGHT, REWARD, action_NK, probability_NKA, np.zeros((3, 2, 2)))
    assert nothing.value == inverse_propensity(WEIGHT, REWARD).value
    one = doubly_robust(WEIGHT, REWARD, action_NK, probability_NKA, np.ones((3, 2, 2)))
    # The model says 2, 2 and 1. It missed 0 -1, -1 0, 1 -; weighted 0 -1, -2 0, 0.5 0.
    assert one.upper_N.tolist() == [2 - 1, 2 - 2, 1 + 0.5]


def test_a_slate_of_one_position_is_a_decision() -> None:
    rng = np.random.default_rng(0)
    action_N, reward_N, propensity_N = rng.integers(0, 3, 50), rng.random(50), np.full(50, 1 / 3)
    all_NA, expected_NA = rng.dirichlet(np.ones(3), 50), rng.random((50, 3))
    weight_N = all_NA[np.arange(50), action_N] / propensity_N
    logged = Logged(action_N, reward_N, propensity_N, np.arange(50))
    single = estimators.doubly_robust(weight_N, logged, all_NA, expected_NA)
    slate = doubly_robust(
        weight_N[:, None],
        reward_N[:, None],
        action_N[:, None],
        all_NA[:, None],
        expected_NA[:, None],
    )
    assert slate.value == pytest.approx(single.value)


def test_probabilities_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match=r"probability_NK\[2, 1\] is 0.5; right is"):
        importance_by_position(np.full((3, 2), 0.5), PROPENSITY)
    with pytest.raises(ValueError, match=r"propensity_NK\[0, 1\] is 2.0; right is"):
        importance_by_position(PROBABILITY, np.array([[1.0, 2.0], [1, 1], [1, 1]]))
    with pytest.raises(ValueError, match=r"probability_NK has shape \(3, 2\); propensity_NK has"):
        importance_by_position(PROBABILITY, np.ones((2, 2)))
