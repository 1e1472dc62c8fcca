"""The reward that an action may expect: a smoothed table of action by cell, cross-fitted.

N decisions   A actions   S cells: positions, channels, whatever small set moves rewards   F folds

Cross-fitting (Chernozhukov et al., 2018): what is expected in a decision comes from a table fitted
to other customers, so that doubly robust estimates are not flattered by a model that has seen the
answer. What actions, cells and their pairs add is shrunk by how much they prove to differ (random
effects by analysis of variance; Searle, Casella and McCulloch, 1992): no dial to set.
"""

import numpy as np

from training.offline.logged import Logged, must_all

FOLDS = 5


def expected_rewards(
    logged: Logged,
    cell_N: np.ndarray,
    *,
    actions: int,
    bounds: tuple[float, float] = (0.0, 1.0),
    folds: int = FOLDS,
    seed: int = 1,
) -> np.ndarray:
    """The expected reward (N, A) of each action in each decision, clipped to what rewards can be.

    The bounds are those of clicks unless others are given. ValueError if there are fewer customers
    than folds, or rewards out of bounds.
    """
    low, high = bounds
    inside_N = (logged.reward_N >= low) & (logged.reward_N <= high)
    must_all(inside_N, "reward_N", logged.reward_N, f"in [{low:g}, {high:g}]")
    must_all(logged.action_N < actions, "action_N", logged.action_N, f"below {actions}")
    place_N = np.unique(cell_N, return_inverse=True)[1]
    fold_N = _folds(logged.customer_N, folds, seed)
    expected_NA = np.empty((len(logged), actions))
    for fold in range(folds):
        theirs_N = fold_N == fold
        table_SA = _table(logged, place_N, ~theirs_N, (int(place_N.max()) + 1, actions))
        expected_NA[theirs_N] = table_SA[place_N[theirs_N]]
    return np.clip(expected_NA, low, high)


def _folds(customer_N: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """One for each decision, the same for all of a customer, about equally many customers each."""
    names, place_N = np.unique(customer_N, return_inverse=True)
    if not 2 <= folds <= len(names):
        raise ValueError(f"{folds} folds of {len(names)} customers; right is 2 to {len(names)}")
    return np.random.default_rng(seed).permutation(len(names))[place_N] % folds


def _table(
    logged: Logged, cell_N: np.ndarray, chosen_N: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """The mean reward of the chosen decisions, with what action, cell and their pair add (S, A)."""
    cells, actions = shape
    action_M, cell_M = logged.action_N[chosen_N], cell_N[chosen_N]
    left_M = logged.reward_N[chosen_N].astype(float)  # what is not explained yet
    overall = left_M.mean()
    left_M = left_M - overall
    by_action_A = _added(action_M, left_M, actions)
    left_M = left_M - by_action_A[action_M]
    by_cell_S = _added(cell_M, left_M, cells)
    left_M = left_M - by_cell_S[cell_M]
    by_pair = _added(cell_M * actions + action_M, left_M, cells * actions)
    return overall + by_action_A + by_cell_S[:, None] + by_pair.reshape(shape)


def _added(group_M: np.ndarray, value_M: np.ndarray, groups: int) -> np.ndarray:
    """What each group adds to the mean of 0: its mean, shrunk by its size; 0 for an empty one."""
    count_G = np.bincount(group_M, minlength=groups)
    sum_G = np.bincount(group_M, value_M, groups)
    mean_G = sum_G / np.maximum(count_G, 1)
    filled, size = int((count_G > 0).sum()), len(value_M)
    if filled < 2 or size <= filled:
        return np.zeros(groups)
    within = float(((value_M - mean_G[group_M]) ** 2).sum()) / (size - filled)
    about_M = mean_G - value_M.mean()
    spread = float((count_G * about_M**2).sum()) - (filled - 1) * within
    between = max(0.0, spread / (size - float((count_G**2).sum()) / size))
    if not between:
        return np.zeros(groups)
    return sum_G / np.where(count_G > 0, count_G + within / between, 1.0)
