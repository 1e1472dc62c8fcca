"""The value of a policy that did not run: IPS, self-normalised IPS, direct method, doubly robust.

N decisions   A actions

Each gives a ratio of sums over decisions, which `certainty` turns into a value with its interval:
the mean reward of a decision, in the reward's unit. They assume that the propensities are true and
positive wherever the new policy's probability is, and that decisions do not change later contexts.
Change the weights (clipped, switched, shrunken) for less variance and some bias.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from training.offline.logged import Logged, Policy, must_hold_actions
from training.offline.weights import importance

INVERSE, SELF_NORMALISED, DIRECT, ROBUST = (
    *("inverse propensity", "self-normalised"),
    *("direct method", "doubly robust"),
)


@dataclass(frozen=True, slots=True)
class Ratio:
    """A sum over decisions by another one: a mean where the lower one counts decisions."""

    upper_N: np.ndarray
    lower_N: np.ndarray

    @property
    def value(self) -> float:
        """NaN where nothing is to divide by."""
        lower = float(self.lower_N.sum())
        return float(self.upper_N.sum()) / lower if lower else float("nan")


def mean(value_N: np.ndarray) -> Ratio:
    """The plain mean: of logged rewards, the value of the policy that ran."""
    return Ratio(value_N, np.ones(len(value_N)))


def inverse_propensity(weight_N: np.ndarray, reward_N: np.ndarray) -> Ratio:
    """IPS: unbiased, of high variance (Horvitz and Thompson, 1952; Strehl et al., 2010)."""
    return mean(weight_N * reward_N)


def self_normalised(weight_N: np.ndarray, reward_N: np.ndarray) -> Ratio:
    """SNIPS: a weighted mean, within the rewards' range (Swaminathan and Joachims, 2015).

    Its bias falls as 1/N; it hides the want of support, which the mean weight shows.
    """
    return Ratio(weight_N * reward_N, weight_N)


def direct(probability_NA: np.ndarray, expected_NA: np.ndarray) -> Ratio:
    """The direct method: what a reward model expects; as biased as the model is (Dudik, 2011).

    Intervals of it hold how contexts vary, not how wrong the model may be.
    """
    return mean((probability_NA * expected_NA).sum(axis=1))


def doubly_robust(
    weight_N: np.ndarray, logged: Logged, probability_NA: np.ndarray, expected_NA: np.ndarray
) -> Ratio:
    """The direct method, corrected where the log contradicts the model (Dudik, 2011; 2014).

    Unbiased if the propensities are true or the model is; the model must not have seen the
    decision that it is asked about (reward_model.py).
    """
    expected_N = np.take_along_axis(expected_NA, logged.action_N[:, None], axis=1)[:, 0]
    modelled_N = direct(probability_NA, expected_NA).upper_N
    return mean(modelled_N + weight_N * (logged.reward_N - expected_N))


def estimates(
    logged: Logged, policy: Policy, expected_NA: np.ndarray | None = None
) -> Mapping[str, Ratio]:
    """By each estimator that can be had, best trusted last.

    The direct method and doubly robust need the policy's probabilities of all actions, and a
    model's `expected_NA` rewards. ValueError names what does not fit.
    """
    policy.must_fit(logged)
    weight_N = importance(policy.logged_N, logged.propensity_N)
    found = {
        INVERSE: inverse_propensity(weight_N, logged.reward_N),
        SELF_NORMALISED: Ratio(weight_N * logged.reward_N, policy.known(weight_N)),
    }
    if policy.all_NA is None or expected_NA is None:
        return found
    must_hold_actions("expected_NA", expected_NA, logged.action_N)
    if expected_NA.shape != policy.all_NA.shape:
        shapes = f"{expected_NA.shape}; all_NA has {policy.all_NA.shape}"
        raise ValueError(f"expected_NA has shape {shapes}")
    return found | {
        DIRECT: direct(policy.all_NA, expected_NA),
        ROBUST: doubly_robust(weight_N, logged, policy.all_NA, expected_NA),
    }
