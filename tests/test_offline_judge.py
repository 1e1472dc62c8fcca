"""The judge blesses what the log shows to be no worse, refuses the rest, and says why."""

from collections.abc import Sequence

import numpy as np
import pytest

from training.offline.estimators import ROBUST, SELF_NORMALISED
from training.offline.judge import Terms, Verdict, compare
from training.offline.logged import Logged, Policy, policy_over
from training.offline.reward_model import expected_rewards

COUNT = 4000
CLICKS = np.array([0.1, 0.2, 0.4])  # of each action
UNIFORM = np.full(3, 1 / 3)


def log(*, logging: Sequence[float] = UNIFORM, count: int = COUNT, seed: int = 2) -> Logged:
    """Decisions of a policy that chooses each action so often, one of each customer."""
    rng = np.random.default_rng(seed)
    action_N = rng.choice(3, count, p=logging)
    reward_N = (rng.random(count) < CLICKS[action_N]).astype(float)
    return Logged(action_N, reward_N, np.array(logging)[action_N], np.arange(count))


def chooses(logged: Logged, *shares: float) -> Policy:
    """A policy that chooses the actions so often."""
    return policy_over(np.tile(shares, (len(logged), 1)), logged)


def judged(logged: Logged, *shares: float, terms: Terms | None = None) -> Verdict:
    return compare(logged, {"new": chooses(logged, *shares)}, terms=terms)["new"]


def test_a_better_policy_is_blessed() -> None:
    verdict = judged(log(), 0.1, 0.2, 0.7)
    assert verdict.blessed
    assert verdict.reasons == ()
    # In truth 0.01 + 0.04 + 0.28 against 0.7 / 3: a lift of 0.097.
    assert verdict.lifts[SELF_NORMALISED].value == pytest.approx(0.097, abs=0.03)
    assert verdict.values[SELF_NORMALISED].low < 0.33 < verdict.values[SELF_NORMALISED].high
    assert verdict.logging.value == log().reward_N.mean()
    assert verdict.mean_weight.value == pytest.approx(1, abs=0.05)
    # Weights of 0.3, 0.6 and 2.1, a third each: 1 / mean of squares is 1 / 1.62.
    assert verdict.support.effective == pytest.approx(COUNT / 1.62, rel=0.03)


def test_a_worse_policy_is_refused() -> None:
    verdict = judged(log(), 0.7, 0.2, 0.1)
    assert not verdict.blessed
    (reason,) = verdict.reasons
    # In truth 0.07 + 0.04 + 0.04 against 0.7 / 3: a lift of -0.083.
    assert verdict.lifts[SELF_NORMALISED].value == pytest.approx(-0.083, abs=0.03)
    assert reason.startswith("it may be worse by 0.0")
    assert reason.endswith("the tolerance 0")


def test_a_tolerance_lets_a_little_pass() -> None:
    assert not judged(log(), 0.34, 0.33, 0.33).blessed
    assert judged(log(), 0.34, 0.33, 0.33, terms=Terms(tolerance=0.005)).blessed


def test_the_policy_that_runs_may_go_on() -> None:
    verdict = judged(log(), *UNIFORM)
    assert verdict.blessed
    assert verdict.lifts[SELF_NORMALISED].low == pytest.approx(0)


def test_a_policy_that_the_log_never_tried_is_refused() -> None:
    logged = log(logging=(0.5, 0.5, 0.0))
    never = judged(logged, 0.0, 0.0, 1.0)
    assert never.reasons[0] == "the log holds no decision that it would have taken"
    partly = judged(logged, 0.2, 0.4, 0.4)
    assert partly.mean_weight.value == pytest.approx(0.6, abs=0.02)
    assert partly.reasons[0].endswith("% of what it would do was never done")
    assert partly.lifts[SELF_NORMALISED].low > 0  # which looks better, and is not known


def test_too_few_decisions_that_count_are_refused() -> None:
    logged = log(logging=(0.98, 0.01, 0.01))
    verdict = judged(logged, 0.0, 0.0, 1.0)
    chosen = int((logged.action_N == 2).sum())  # about 40 of 4,000
    assert verdict.support.effective == pytest.approx(chosen)
    assert (
        verdict.reasons[0]
        == f"the log is worth {chosen:.1f} of its decisions, at least 200 are needed"
    )


def test_one_decision_may_not_decide() -> None:
    logged = log()
    probability_N = np.full(COUNT, 1e-6)
    probability_N[7] = 1.0
    verdict = compare(logged, {"new": Policy(probability_N)})["new"]
    assert "one decision holds 99.6% of all weight, at most 5.0% may" in verdict.reasons


def test_wrong_propensities_are_noticed() -> None:
    right = log()
    wrong = Logged(right.action_N, right.reward_N, right.propensity_N / 2, right.customer_N)
    words = "weights average 2.000, not 1: logged propensities are too small"
    assert words in judged(wrong, *UNIFORM).reasons


def test_too_few_customers_or_equal_rewards_tell_nothing() -> None:
    each = log()
    few = Logged(each.action_N, each.reward_N, each.propensity_N, np.arange(COUNT) % 20)
    assert judged(few, 0.1, 0.2, 0.7).reasons == (
        "20 customers are logged, at least 30 are needed",
    )
    flat = Logged(each.action_N, np.zeros(COUNT), each.propensity_N, each.customer_N)
    assert judged(flat, *UNIFORM).reasons == ("every reward is 0: nothing tells policies apart",)


def test_with_a_model_the_doubly_robust_estimate_decides() -> None:
    logged = log()
    expected_NA = expected_rewards(logged, np.zeros(COUNT), actions=3)
    policies = {"new": chooses(logged, 0.1, 0.2, 0.7)}
    verdict = compare(logged, policies, expected_NA=expected_NA)["new"]
    assert (verdict.decided_by, verdict.blessed) == (ROBUST, True)
    assert len(verdict.values) == len(verdict.lifts) == 4
    plain = compare(logged, policies)["new"]
    assert verdict.values[ROBUST].error < plain.values["inverse propensity"].error


def test_policies_that_are_compared_together_share_the_risk() -> None:
    logged = log()
    one, other = chooses(logged, 0.1, 0.2, 0.7), chooses(logged, 0.3, 0.4, 0.3)
    alone = compare(logged, {"one": one})["one"].lifts[SELF_NORMALISED]
    together = compare(logged, {"one": one, "other": other})["one"].lifts[SELF_NORMALISED]
    assert together.low < alone.low
    assert together.value == alone.value


def test_the_verdict_reads_well() -> None:
    lines = list(judged(log(), 0.7, 0.2, 0.1).lines())
    assert lines[0] == "new: refused"
    assert lines[1].startswith("  ran                0.2")
    assert lines[-1].startswith("  because it may be worse by")
    assert next(judged(log(), 0.1, 0.2, 0.7).lines()) == "new: blessed"
