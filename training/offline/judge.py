"""Whether a new policy may replace the one that runs, by what that one has logged.

A policy is blessed only if the log supports an answer and the answer is that it is not worse.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from training.offline.certainty import CONFIDENCE, Estimate, estimated, lift
from training.offline.estimators import ROBUST, SELF_NORMALISED, estimates, mean
from training.offline.logged import Logged, Policy
from training.offline.weights import Support, importance, support

SURE_ERRORS = 4.0  # standard errors that the mean weight may be off by chance


@dataclass(frozen=True, slots=True)
class Terms:
    """What a policy must show to be blessed."""

    tolerance: float = 0.0  # by how much it may be worse, in the reward's unit
    confidence: float = CONFIDENCE  # of all verdicts together, if several policies are compared
    min_effective: float = 200.0  # decisions
    min_customers: int = 30  # with fewer, intervals are too narrow (Cameron et al., 2008)
    most_share: float = 0.05  # of all weight, on one decision
    most_unseen: float = 0.02  # of its choices, that the logging policy never makes


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of one policy; `reasons` say why it is not blessed."""

    policy: str
    logging: Estimate  # value of the policy that ran: the mean reward
    values: Mapping[str, Estimate]  # by estimator
    lifts: Mapping[str, Estimate]  # above the policy that ran, on the same decisions
    mean_weight: Estimate  # 1 if the log holds what the new policy would do
    support: Support
    decided_by: str  # the estimator: doubly robust if it can be had, else self-normalised
    reasons: tuple[str, ...]
    unsupported: tuple[str, ...] = ()  # those of them that say what the log cannot tell

    @property
    def blessed(self) -> bool:
        """Whether it may be released."""
        return not self.reasons

    def lines(self) -> Iterator[str]:
        """The verdict in words and numbers."""
        yield f"{self.policy}: {'blessed' if self.blessed else 'refused'}"
        yield f"  {'ran':<18} {self.logging.value:.6g} {_bounds(self.logging)}"
        for name, value in self.values.items():
            gain = self.lifts[name]
            yield f"  {name:<18} {value.value:.6g} {_bounds(value)}"
            yield f"  {'':<18} lift {gain.value:+.6g} {_bounds(gain)}"
        yield (
            f"  decided by {self.decided_by}; effective decisions {self.support.effective:.1f}, "
            f"largest weight {self.support.largest:.4g}"
        )
        yield from (f"  because {reason}" for reason in self.reasons)


def compare(
    logged: Logged,
    policies: Mapping[str, Policy],
    *,
    expected_NA: np.ndarray | None = None,
    terms: Terms | None = None,
    against: Policy | None = None,
) -> dict[str, Verdict]:
    """A verdict on each policy, by its name; ValueError names what does not fit.

    Lifts are above the policy that ran, or above the one that is given as `against`.

    `expected_NA` are a reward model's cross-fitted expectations (reward_model.py), without which
    nothing is doubly robust. Several policies share the risk of a wrong blessing (Bonferroni).
    """
    terms = terms or Terms()
    confidence = 1 - (1 - terms.confidence) / max(1, len(policies))
    return {
        name: _verdict(name, logged, (policy, against), expected_NA, terms, confidence)
        for name, policy in policies.items()
    }


def _verdict(
    name: str,
    logged: Logged,
    policies: tuple[Policy, Policy | None],
    expected_NA: np.ndarray | None,
    terms: Terms,
    confidence: float,
) -> Verdict:
    policy, against = policies
    ran, found = mean(logged.reward_N), estimates(logged, policy, expected_NA)
    weight_N = importance(policy.logged_N, logged.propensity_N)
    values = [[(1.0, ratio)] for ratio in found.values()]
    base = estimates(logged, against, expected_NA) if against else dict.fromkeys(found, ran)
    gains = [lift(ratio, base[name]) for name, ratio in found.items()]
    known_N = policy.known(weight_N)
    logging, weight, *sure = estimated(
        [[(1.0, ran)], [(1.0, mean(known_N))], *values, *gains],
        logged.customer_N,
        confidence=confidence,
    )
    lifts = dict(zip(found, sure[len(found) :], strict=True))
    decided_by = ROBUST if ROBUST in found else SELF_NORMALISED
    reach = support(known_N)
    unsupported = tuple(_unsupported(reach, weight, terms))
    reasons = [*_uninformed(logged, terms), *unsupported, *_worse(lifts[decided_by], terms)]
    return Verdict(
        policy=name,
        logging=logging,
        values=dict(zip(found, sure[: len(found)], strict=True)),
        lifts=lifts,
        mean_weight=weight,
        support=reach,
        decided_by=decided_by,
        reasons=tuple(reasons),
        unsupported=unsupported,
    )


def _uninformed(logged: Logged, terms: Terms) -> Iterator[str]:
    """Why this log could bless no policy."""
    customers = len(np.unique(logged.customer_N))
    if customers < terms.min_customers:
        yield f"{customers} customers are logged, at least {terms.min_customers} are needed"
    if np.ptp(logged.reward_N) == 0:
        yield f"every reward is {logged.reward_N[0]:g}: nothing tells policies apart"


def _unsupported(reach: Support, mean_weight: Estimate, terms: Terms) -> Iterator[str]:
    """Why the log cannot tell."""
    if not reach.effective:
        yield "the log holds no decision that it would have taken"
        return
    if reach.effective < terms.min_effective:
        yield (
            f"the log is worth {reach.effective:.1f} of its decisions, "
            f"at least {terms.min_effective:g} are needed"
        )
    if reach.largest_share > terms.most_share:
        yield (
            f"one decision holds {reach.largest_share:.1%} of all weight, "
            f"at most {terms.most_share:.1%} may"
        )
    off = mean_weight.value - 1
    chance = SURE_ERRORS * mean_weight.error
    if off + chance < -terms.most_unseen:
        yield (
            f"weights average {mean_weight.value:.3f}, not 1: about {-off:.1%} of what it would do "
            "was never done"
        )
    elif off - chance > terms.most_unseen:
        yield f"weights average {mean_weight.value:.3f}, not 1: logged propensities are too small"


def _worse(gain: Estimate, terms: Terms) -> Iterator[str]:
    """Why it may cost more than the tolerance."""
    if not gain.low >= -terms.tolerance:
        yield (
            f"it may be worse by {-gain.low:.4g}: the lift is {gain.value:+.4g} {_bounds(gain)}, "
            f"the tolerance {terms.tolerance:g}"
        )


def _bounds(value: Estimate) -> str:
    return f"[{value.low:.4g}, {value.high:.4g}]"
