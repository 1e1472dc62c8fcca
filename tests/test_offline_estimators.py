"""Off-line estimators: values worked by hand, laws that hold for any log, and a known truth.

The log of four decisions about two actions that most tests use:

    action       0     1     0     1
    reward       1     0     2     5        plain mean 8 / 4 = 2
    propensity   0.5   0.5   0.25  0.75
    pi(a|x)      1     0.5   0.5   0.75
    weight       2     1     2     1        sum 6, of squares 10
    weighted     2     0     4     5        sum 11
    model's q    1     2     1     4        of the logged action
    model's v    1     1     2     3.5      of the policy: sum 7.5
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.offline.certainty import estimate, estimated, lift
from training.offline.estimators import (
    DIRECT,
    INVERSE,
    ROBUST,
    SELF_NORMALISED,
    Ratio,
    doubly_robust,
    estimates,
    inverse_propensity,
    mean,
    self_normalised,
)
from training.offline.logged import Logged, Policy, policy_over
from training.offline.weights import bias, clipped, importance, shrunken, support, switched

ACTION = np.array([0, 1, 0, 1])
REWARD = np.array([1.0, 0.0, 2.0, 5.0])
PROPENSITY = np.array([0.5, 0.5, 0.25, 0.75])
LOGGED = Logged(ACTION, REWARD, PROPENSITY, np.arange(4))
ALL = np.array([[1.0, 0.0], [0.5, 0.5], [0.5, 0.5], [0.25, 0.75]])
POLICY = policy_over(ALL, LOGGED)
WEIGHT = importance(POLICY.logged_N, PROPENSITY)
EXPECTED = np.array([[1.0, 2.0], [0.0, 2.0], [1.0, 3.0], [2.0, 4.0]])


def test_weights_are_ratios_of_probabilities() -> None:
    assert WEIGHT.tolist() == [2, 1, 2, 1]


def test_estimates_are_those_worked_by_hand() -> None:
    found = {name: ratio.value for name, ratio in estimates(LOGGED, POLICY, EXPECTED).items()}
    assert found == {
        INVERSE: 11 / 4,
        SELF_NORMALISED: 11 / 6,
        DIRECT: 7.5 / 4,
        # What the model missed is 0, -2, 1, 1; weighted 0, -2, 2, 1.
        ROBUST: (7.5 + 1) / 4,
    }


def test_without_all_probabilities_or_a_model_nothing_is_doubly_robust() -> None:
    assert list(estimates(LOGGED, POLICY)) == [INVERSE, SELF_NORMALISED]
    assert list(estimates(LOGGED, Policy(POLICY.logged_N), EXPECTED)) == [INVERSE, SELF_NORMALISED]


def test_clipping_says_its_bias() -> None:
    few_N = clipped(WEIGHT, 1.5)
    assert few_N.tolist() == [1.5, 1, 1.5, 1]
    assert inverse_propensity(few_N, REWARD).value == 9.5 / 4
    assert bias(few_N, WEIGHT, REWARD) == 9.5 / 4 - 11 / 4


def test_switching_leaves_large_weights_to_the_model() -> None:
    # Only the second and the fourth are corrected, by -2 and 1.
    assert doubly_robust(switched(WEIGHT, 1.5), LOGGED, ALL, EXPECTED).value == (7.5 - 1) / 4


def test_shrinkage_lies_between_the_model_and_the_log() -> None:
    # 2 * 2 / (4 + 2) and 1 * 2 / (1 + 2): both 2/3.
    assert shrunken(WEIGHT, 2.0).tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2 / 3])
    assert shrunken(WEIGHT, 0.0).tolist() == [0, 0, 0, 0]
    assert shrunken(WEIGHT, 1e12).tolist() == pytest.approx(WEIGHT.tolist())


def test_support_is_what_the_weights_leave() -> None:
    found = support(WEIGHT)
    assert found.effective == pytest.approx(6**2 / 10)
    assert (found.largest, found.largest_share) == (2, 2 / 6)
    none = support(np.zeros(4))
    assert (none.effective, none.largest) == (0, 0)
    assert math.isnan(none.largest_share)


def test_standard_errors_are_those_worked_by_hand() -> None:
    # Rewards differ from their mean by -1, -2, 0, 3: their variance is 14 / 3.
    assert estimate(mean(REWARD), np.arange(4)).error == pytest.approx(math.sqrt(14 / 3 / 4))
    # Self-normalised: w (r - 11/6) is -10, -11, 2, 19 sixths; each moves the ratio by that / 6.
    found = estimate(self_normalised(WEIGHT, REWARD), np.arange(4))
    assert found.error == pytest.approx(math.sqrt(586 / 36 / 36 * 4 / 3))
    assert found.normal.high == pytest.approx(found.value + 1.959964 * found.error)


def test_decisions_of_one_customer_err_together() -> None:
    # Two customers move the mean by -3/4 and 3/4.
    found = estimate(mean(REWARD), np.array(["a", "a", "b", "b"]))
    assert found.error == pytest.approx(math.sqrt(2 * 0.75**2 * 2))


def test_what_two_policies_share_cancels() -> None:
    noisy = np.random.default_rng(0).normal(0, 100, 500)
    gain = lift(mean(noisy + 0.5), mean(noisy))
    (found,) = estimated([gain], np.arange(500))
    assert found.value == pytest.approx(0.5)
    assert found.error == pytest.approx(0, abs=1e-9)
    assert found.low == pytest.approx(0.5)


def test_one_customer_or_no_weight_bounds_nothing() -> None:
    alone = estimate(mean(REWARD), np.zeros(4))
    assert (alone.value, alone.low, alone.high) == (2, -math.inf, math.inf)
    nothing = estimate(self_normalised(np.zeros(4), REWARD), np.arange(4))
    assert math.isnan(nothing.value)
    assert (nothing.low, nothing.high) == (-math.inf, math.inf)


def simulated(count: int, seed: int) -> tuple[Logged, np.ndarray, float]:
    """A log of three actions in two contexts, what another policy would do, and its true value."""
    rng = np.random.default_rng(seed)
    context_N = rng.integers(0, 2, count)
    logging_CA = np.array([[0.6, 0.3, 0.1], [0.2, 0.2, 0.6]])
    new_CA = np.array([[0.1, 0.2, 0.7], [0.5, 0.4, 0.1]])
    click_CA = np.array([[0.1, 0.2, 0.3], [0.3, 0.05, 0.1]])
    action_N = (rng.random((count, 1)) > logging_CA[context_N].cumsum(axis=1)).sum(axis=1)
    reward_N = (rng.random(count) < click_CA[context_N, action_N]).astype(float)
    logged = Logged(action_N, reward_N, logging_CA[context_N, action_N], np.arange(count))
    return logged, new_CA[context_N], float((new_CA * click_CA).sum(axis=1).mean())


def test_estimates_find_a_known_truth() -> None:
    logged, new_NA, truth = simulated(10_000, seed=3)
    wrong_model = np.full(new_NA.shape, 0.5)
    found = estimates(logged, policy_over(new_NA, logged), wrong_model)
    # True values: context 0 has 0.01 + 0.04 + 0.21, context 1 has 0.15 + 0.02 + 0.01.
    assert truth == pytest.approx((0.26 + 0.18) / 2)
    names = (INVERSE, SELF_NORMALISED, ROBUST)
    for sure in estimated([[(1.0, found[name])] for name in names], logged.customer_N):
        assert abs(sure.value - truth) < 4 * sure.error
        assert sure.error < 0.02
    assert found[DIRECT].value == pytest.approx(0.5)  # as wrong as the model
    assert logged.reward_N.mean() < truth - 0.02  # the plain mean is another policy's


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    held = {INVERSE: 0, SELF_NORMALISED: 0}
    for seed in range(100):
        logged, new_NA, truth = simulated(400, seed)
        found = estimates(logged, policy_over(new_NA, logged))
        each = estimated([[(1.0, ratio)] for ratio in found.values()], logged.customer_N)
        for name, sure in zip(found, each, strict=True):
            held[name] += sure.normal.low <= truth <= sure.normal.high
    # 95 of 100 are due; 88 is 3 standard deviations below.
    assert min(held.values()) >= 88


rows = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.floats(-10, 10),
        st.floats(0.01, 1),
        st.lists(st.floats(0.01, 1), min_size=3, max_size=3),
        st.lists(st.floats(-10, 10), min_size=3, max_size=3),
    ),
    min_size=1,
    max_size=20,
)


@settings(max_examples=60, deadline=None)
@given(rows)
def test_laws_that_hold_for_any_log(given_rows: list) -> None:
    action, reward, propensity, weigh, expect = zip(*given_rows, strict=True)
    logged = Logged(
        np.array(action), np.array(reward), np.array(propensity), np.arange(len(action))
    )
    all_NA = np.array(weigh) / np.array(weigh).sum(axis=1, keepdims=True)
    expected_NA = np.array(expect)
    found = estimates(logged, policy_over(all_NA, logged), expected_NA)
    weight_N = importance(policy_over(all_NA, logged).logged_N, logged.propensity_N)
    nothing = doubly_robust(weight_N, logged, all_NA, np.zeros(expected_NA.shape))
    assert nothing.value == pytest.approx(found[INVERSE].value)
    unweighted = doubly_robust(np.zeros(len(logged)), logged, all_NA, expected_NA)
    assert unweighted.value == pytest.approx(found[DIRECT].value)
    bounds = logged.reward_N.min() - 1e-9, logged.reward_N.max() + 1e-9
    assert bounds[0] <= found[SELF_NORMALISED].value <= bounds[1]
    assert 1 - 1e-9 <= support(weight_N).effective <= len(logged) + 1e-9


def test_the_policy_that_ran_is_worth_what_it_earned() -> None:
    same = estimates(LOGGED, Policy(PROPENSITY))
    assert {name: ratio.value for name, ratio in same.items()} == {INVERSE: 2, SELF_NORMALISED: 2}


def test_a_ratio_over_nothing_is_unknown() -> None:
    assert math.isnan(Ratio(np.ones(2), np.zeros(2)).value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"propensity_N": np.array([0.5, 0.0])}, r"propensity_N\[1\] is 0.0; right is in \(0, 1\]"),
        ({"propensity_N": np.array([0.5, 1.5])}, r"propensity_N\[1\] is 1.5"),
        ({"propensity_N": np.array([np.nan, 0.5])}, r"propensity_N\[0\] is nan"),
        ({"reward_N": np.array([0.0, np.inf])}, r"reward_N\[1\] is inf; right is finite"),
        ({"reward_N": np.zeros(3)}, r"reward_N has shape \(3,\); right is \(2,\)"),
        ({"customer_N": np.zeros((2, 1))}, r"customer_N has shape \(2, 1\)"),
        ({"action_N": np.array([0, -1])}, r"action_N\[1\] is -1; right is at least 0"),
        ({"action_N": np.array([0.0, 1.0])}, "action_N has type float64"),
        ({"action_N": np.array([], int)}, "no decisions are logged"),
    ],
)
def test_a_log_that_cannot_be_is_refused(change: dict[str, np.ndarray], words: str) -> None:
    right = {
        "action_N": np.array([0, 1]),
        "reward_N": np.zeros(2),
        "propensity_N": np.full(2, 0.5),
        "customer_N": np.arange(2),
    }
    with pytest.raises(ValueError, match=words):
        Logged(**(right | change))


@pytest.mark.parametrize(
    ("policy", "expected", "words"),
    [
        (lambda: Policy(np.ones(3)), None, r"logged_N has shape \(3,\); right is \(4,\)"),
        (lambda: Policy(np.array([0, 0, 0, 1.2])), None, r"logged_N\[3\] is 1.2"),
        (lambda: Policy(POLICY.logged_N, ALL * 0.9), None, r"all_NA.sum\(axis=1\)\[0\] is 0.9"),
        (lambda: Policy(np.full(4, 0.5), ALL), None, r"logged_N\[0\] is 0.5; right is what all_NA"),
        (lambda: policy_over(ALL[:, :1], LOGGED), None, r"action_N\[1\] is 1; right is below 1"),
        (lambda: POLICY, EXPECTED[:, :1], r"action_N\[1\] is 1; right is below 1"),
        (lambda: POLICY, np.ones((4, 3)), r"expected_NA has shape \(4, 3\); all_NA has \(4, 2\)"),
        (lambda: POLICY, EXPECTED * np.nan, r"expected_NA\[0, 0\] is nan; right is finite"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(policy, expected, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        estimates(LOGGED, policy(), expected)
