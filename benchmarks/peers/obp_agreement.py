"""The same estimates by `obp` and by us, from the same arrays.

N impressions   A items   K or L positions   S slates
"""

from dataclasses import dataclass

import numpy as np

from benchmarks.open_bandit_log import POSITIONS, Log
from benchmarks.peers.obp_reference import reference
from training.offline import slates, weights
from training.offline.estimators import doubly_robust, estimates, inverse_propensity
from training.offline.logged import policy_over

MOST, STRENGTH = 3.0, 5.0  # of clipping and shrinkage: any values that change some weights


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far apart the two are, and the policy that obp knows by the campaign's priors."""

    largest_difference: float
    policy_KA: np.ndarray


def agreement(
    campaign: str, log: Log, probability_KA: np.ndarray, expected_NA: np.ndarray
) -> Agreement:
    """Asks both; NotRunError says why obp did not answer."""
    answer = reference(_question(campaign, log, probability_KA, expected_NA))
    ours = _ours(log, probability_KA, expected_NA)
    apart = [abs(value - float(answer[name])) for name, value in ours.items()]
    return Agreement(max(apart), answer["policy_AL"].T)


def _ours(log: Log, probability_KA: np.ndarray, expected_NA: np.ndarray) -> dict[str, float]:
    """What obp is asked too, by the names of its answers."""
    logged, policy = log.logged, policy_over(probability_KA[log.position_N], log.logged)
    assert policy.all_NA is not None
    weight_N = weights.importance(policy.logged_N, logged.propensity_N)
    cut_N, small_N = weights.switched(weight_N, MOST), weights.shrunken(weight_N, STRENGTH)
    few_N = weights.clipped(weight_N, MOST)
    slate = _slates(log, probability_KA)
    weight_SK = slates.importance_by_position(
        slate["slate_probability_NL"], slate["slate_propensity_NL"]
    )
    found = {
        **estimates(logged, policy, expected_NA),
        "clipped": inverse_propensity(few_N, logged.reward_N),
        "switch-DR": doubly_robust(cut_N, logged, policy.all_NA, expected_NA),
        "DRos": doubly_robust(small_N, logged, policy.all_NA, expected_NA),
        "slates": slates.inverse_propensity(weight_SK, slate["slate_reward_NL"]),
    }
    return {name: ratio.value for name, ratio in found.items()}


def _question(
    campaign: str, log: Log, probability_KA: np.ndarray, expected_NA: np.ndarray
) -> dict[str, object]:
    """The arrays, in obp's shapes."""
    rows = len(log.logged)
    return {
        "campaign": campaign,
        "most": MOST,
        "strength": STRENGTH,
        "reward_N": log.logged.reward_N,
        "action_N": log.logged.action_N,
        "propensity_N": log.logged.propensity_N,
        "position_N": log.position_N,
        "probability_NAL": np.tile(probability_KA.T, (rows, 1, 1)),
        "expected_NAL": np.repeat(expected_NA[..., None], POSITIONS, axis=2),
        **_slates(log, probability_KA),
    }


def _slates(log: Log, probability_KA: np.ndarray) -> dict[str, np.ndarray]:
    """Rows of the three positions side by side: no slates that were seen, but good to compare."""
    count = int(np.bincount(log.position_N).min())
    rows_SK = np.stack(
        [np.flatnonzero(log.position_N == each)[:count] for each in range(POSITIONS)], axis=1
    )
    action_SK = log.logged.action_N[rows_SK]
    return {
        "slate_reward_NL": log.logged.reward_N[rows_SK],
        "slate_propensity_NL": log.logged.propensity_N[rows_SK],
        "slate_probability_NL": probability_KA[np.arange(POSITIONS), action_SK],
    }
