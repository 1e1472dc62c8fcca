"""The Open Bandit logs: what two policies showed side by side in a shop, and what was clicked.

N impressions   A items   K positions   P pairs of position and item
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pyarrow import csv

from training.offline.logged import Logged

POSITIONS = 3
OFTEN = 100  # impressions of an item at a position


@dataclass(frozen=True, slots=True)
class Log:
    """What one policy showed in one campaign, and what was clicked."""

    logged: Logged
    position_N: np.ndarray

    @property
    def rate(self) -> float:
        """Clicks an impression."""
        return float(self.logged.reward_N.mean())


def read(folder: Path, policy: str, campaign: str) -> Log:
    """One of the four files."""
    columns = ["item_id", "position", "click", "propensity_score"]
    table = csv.read_csv(
        folder / f"{policy}_{campaign}.csv.gz",
        convert_options=csv.ConvertOptions(include_columns=columns),
    )
    item, position, click, propensity = (table[each].to_numpy() for each in columns)
    return Log(Logged(item, click.astype(float), propensity, np.arange(len(item))), position - 1)


def shown(log: Log, items: int) -> np.ndarray:
    """How often each item was shown at each position, of all that were shown there (K, A)."""
    pair_N = log.position_N * items + log.logged.action_N
    count_KA = np.bincount(pair_N, minlength=POSITIONS * items).reshape(POSITIONS, items)
    return count_KA / count_KA.sum(axis=1, keepdims=True)


def propensities_against_frequencies(log: Log, items: int) -> float:
    """The mean of 1 / propensity, times what share showed it, of what was shown often: 1 is right.

    Each impression of a pair counts 1 / p, so that they sum to all impressions of the position.
    """
    pair_N = log.position_N * items + log.logged.action_N
    count_P = np.bincount(pair_N, minlength=POSITIONS * items)
    sum_P = np.bincount(pair_N, 1 / log.logged.propensity_N, len(count_P))
    right_P = np.bincount(log.position_N, minlength=POSITIONS).repeat(items)
    often_P = count_P >= OFTEN
    return float(np.average((sum_P / right_P)[often_P], weights=count_P[often_P]))
