"""What is judged from: logged decisions, and what another policy would have done in them.

N decisions   A actions, or candidates of a decision: what an action's number counts
"""

from dataclasses import dataclass

import numpy as np

SUM_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Logged:
    """Decisions of the policy that ran; ValueError names the first value that cannot be.

    The reward is in the unit in which policies are compared: clicks, money, two-sided value.
    """

    action_N: np.ndarray  # int: the chosen one's place among the actions
    reward_N: np.ndarray
    propensity_N: np.ndarray  # with which probability it was chosen, in (0, 1]
    customer_N: np.ndarray  # whoever's rewards are alike: customers or sessions, any sortable type

    def __post_init__(self) -> None:
        count = len(self.action_N)
        if not count:
            raise ValueError("no decisions are logged: there is nothing to judge from")
        for name in ("reward_N", "propensity_N", "customer_N"):
            _must_be_as_long(name, getattr(self, name), count)
        if self.action_N.dtype.kind not in "iu":
            raise ValueError(f"action_N has type {self.action_N.dtype}; places are integers")
        must_all(self.action_N >= 0, "action_N", self.action_N, "at least 0")
        must_all(np.isfinite(self.reward_N), "reward_N", self.reward_N, "finite")
        in_range_N = (self.propensity_N > 0) & (self.propensity_N <= 1)
        must_all(in_range_N, "propensity_N", self.propensity_N, "in (0, 1]")

    def __len__(self) -> int:
        return len(self.action_N)


@dataclass(frozen=True, slots=True)
class Policy:
    """How probably another policy would have chosen what was chosen, and what else."""

    logged_N: np.ndarray  # pi(a|x) of the logged actions, in [0, 1]
    all_NA: np.ndarray | None = None  # pi(a|x) of all actions; rows sum to 1
    silent_N: np.ndarray | None = None
    """With which probability it would have done nothing where something was done. That is known to
    bring nothing: it needs no support by the log."""

    def __post_init__(self) -> None:
        in_range_N = (self.logged_N >= 0) & (self.logged_N <= 1)
        must_all(in_range_N, "logged_N", self.logged_N, "in [0, 1]")
        if self.silent_N is not None:
            _must_be_as_long("silent_N", self.silent_N, len(self.logged_N))
            in_range_N = (self.silent_N >= 0) & (self.silent_N <= 1)
            must_all(in_range_N, "silent_N", self.silent_N, "in [0, 1]")
        if self.all_NA is None:
            return
        _must_be_as_long("all_NA", self.all_NA, len(self.logged_N), dimensions=2)
        must_all(self.all_NA >= 0, "all_NA", self.all_NA, "at least 0")
        sum_N = self.all_NA.sum(axis=1)
        must_all(np.abs(sum_N - 1) <= SUM_TOLERANCE, "all_NA.sum(axis=1)", sum_N, "1")

    def known(self, weight_N: np.ndarray) -> np.ndarray:
        """How much each decision (N) tells of it: by its weight, and by what silence brings."""
        return weight_N if self.silent_N is None else weight_N + self.silent_N

    def must_fit(self, logged: Logged) -> None:
        """Raises ValueError if these are not probabilities of those decisions."""
        _must_be_as_long("logged_N", self.logged_N, len(logged))
        if self.all_NA is None:
            return
        must_hold_actions("all_NA", self.all_NA, logged.action_N)
        theirs_N = np.take_along_axis(self.all_NA, logged.action_N[:, None], axis=1)[:, 0]
        equal_N = np.abs(theirs_N - self.logged_N) <= SUM_TOLERANCE
        must_all(equal_N, "logged_N", self.logged_N, "what all_NA says of the logged action")


def policy_over(all_NA: np.ndarray, logged: Logged) -> Policy:
    """The policy with these probabilities of all actions."""
    must_hold_actions("all_NA", all_NA, logged.action_N)
    return Policy(np.take_along_axis(all_NA, logged.action_N[:, None], axis=1)[:, 0], all_NA)


def must_hold_actions(name: str, value_NA: np.ndarray, action_N: np.ndarray) -> None:
    """Raises ValueError unless each decision has finite values of actions, its own among them."""
    _must_be_as_long(name, value_NA, len(action_N), dimensions=2)
    must_all(np.isfinite(value_NA), name, value_NA, "finite")
    actions = value_NA.shape[1]
    must_all(action_N < actions, "action_N", action_N, f"below {actions}, the width of {name}")


def _must_be_as_long(name: str, value: np.ndarray, count: int, *, dimensions: int = 1) -> None:
    if value.ndim != dimensions or len(value) != count:
        right = f"({count},)" if dimensions == 1 else f"({count}, actions)"
        raise ValueError(f"{name} has shape {value.shape}; right is {right}")


def must_all(right: np.ndarray, name: str, value: np.ndarray, what: str) -> None:
    """Raises ValueError with the first value that is not right, and its place."""
    if not right.all():
        place = tuple(np.argwhere(~right)[0].tolist())
        at = ", ".join(map(str, place))
        raise ValueError(f"{name}[{at}] is {value[place]}; right is {what}")
