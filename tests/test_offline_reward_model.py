"""The cross-fitted table: nobody's own reward counts, and noise is shrunk to the mean."""

import numpy as np
import pytest

from training.offline.logged import Logged
from training.offline.reward_model import expected_rewards


def log(action_N: np.ndarray, reward_N: np.ndarray, customer_N: np.ndarray) -> Logged:
    return Logged(action_N, reward_N, np.full(len(action_N), 0.5), customer_N)


def test_without_differences_all_expect_the_others_mean() -> None:
    reward_N = np.ones(4)
    found_NA = expected_rewards(
        log(np.array([0, 1, 0, 1]), reward_N, np.arange(4)), np.zeros(4), actions=2, folds=2
    )
    assert found_NA.tolist() == [[1, 1]] * 4


def test_nobodys_own_reward_counts() -> None:
    rng = np.random.default_rng(0)
    action_N, customer_N = rng.integers(0, 3, 200), np.arange(200) // 4
    reward_N = (rng.random(200) < 0.2 * action_N).astype(float)
    other_N = np.where(customer_N == 7, 1 - reward_N, reward_N)
    before_NA, after_NA = (
        expected_rewards(log(action_N, each, customer_N), np.zeros(200), actions=3)
        for each in (reward_N, other_N)
    )
    assert (before_NA[customer_N == 7] == after_NA[customer_N == 7]).all()
    assert (before_NA != after_NA).any()


def test_true_differences_are_learned() -> None:
    rng = np.random.default_rng(0)
    action_N, cell_N = rng.integers(0, 3, 9000), rng.integers(0, 2, 9000)
    click_SA = np.array([[0.1, 0.3, 0.5], [0.2, 0.4, 0.1]])
    reward_N = (rng.random(9000) < click_SA[cell_N, action_N]).astype(float)
    found_NA = expected_rewards(log(action_N, reward_N, np.arange(9000)), cell_N, actions=3)
    assert found_NA == pytest.approx(click_SA[cell_N], abs=0.05)


def test_noise_is_shrunk_to_the_mean() -> None:
    rng = np.random.default_rng(0)
    action_N, reward_N = rng.integers(0, 50, 1000), (rng.random(1000) < 0.5).astype(float)
    found_NA = expected_rewards(
        log(action_N, reward_N, np.arange(1000)), np.zeros(1000), actions=50
    )
    raw_A = np.bincount(action_N, reward_N, 50) / np.bincount(action_N, minlength=50)
    assert raw_A.std() > 0.09  # of 20 coins each: 0.11
    assert found_NA.std() < 0.05


def test_an_action_nobody_saw_gets_the_mean() -> None:
    rng = np.random.default_rng(0)
    action_N = rng.integers(0, 2, 400)
    reward_N = action_N.astype(float)
    found_NA = expected_rewards(log(action_N, reward_N, np.arange(400)), np.zeros(400), actions=3)
    assert found_NA[:, 0] == pytest.approx(0, abs=0.01)
    assert found_NA[:, 1] == pytest.approx(1, abs=0.01)
    assert found_NA[:, 2] == pytest.approx(reward_N.mean(), abs=0.03)


def test_expectations_stay_within_bounds() -> None:
    rng = np.random.default_rng(0)
    action_N, cell_N = rng.integers(0, 2, 400), rng.integers(0, 2, 400)
    reward_N = np.maximum(action_N, cell_N) * 10.0 - 5
    found_NA = expected_rewards(
        log(action_N, reward_N, np.arange(400)), cell_N, actions=2, bounds=(-5, 5)
    )
    assert found_NA.min() >= -5
    assert found_NA.max() <= 5
    assert found_NA[cell_N == 0, 0] == pytest.approx(-5, abs=0.2)


def test_what_cannot_be_is_refused() -> None:
    logged = log(np.array([0, 1]), np.array([0.0, 7.0]), np.arange(2))
    with pytest.raises(ValueError, match=r"reward_N\[1\] is 7.0; right is in \[0, 1\]"):
        expected_rewards(logged, np.zeros(2), actions=2, folds=2)
    with pytest.raises(ValueError, match="5 folds of 2 customers; right is 2 to 2"):
        expected_rewards(logged, np.zeros(2), actions=2, bounds=(0, 9))
    with pytest.raises(ValueError, match=r"action_N\[1\] is 1; right is below 1"):
        expected_rewards(logged, np.zeros(2), actions=1, folds=2, bounds=(0, 9))
