"""A published data set of "user item" lines in time order, split by leaving one out.

The last item of each user is to be found; what comes before it may be learnt from.
"""

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, slots=True)
class Lines:
    """Users one after another, each with items in time order."""

    user_N: np.ndarray
    item_N: np.ndarray

    @property
    def ending(self) -> np.ndarray:
        """Which lines are the last of their users."""
        return np.append(self.user_N[1:] != self.user_N[:-1], True)

    def first(self, users: int) -> "Lines":
        """The lines of so many users; 0 are all."""
        chosen_N = self.user_N <= np.unique(self.user_N)[users - 1]
        return Lines(self.user_N[chosen_N], self.item_N[chosen_N])

    def known(self) -> "Lines":
        """What may be learnt from."""
        return Lines(self.user_N[~self.ending], self.item_N[~self.ending])

    def asked(self) -> "Lines":
        """One line a user: what is to be found."""
        return Lines(self.user_N[self.ending], self.item_N[self.ending])


def read_lines(path: Path) -> Lines:
    """The file, gzipped or not; users come in ascending order."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        pairs_N2 = np.loadtxt(file, np.int64, ndmin=2)
    pairs_N2 = pairs_N2[np.argsort(pairs_N2[:, 0], kind="stable")]
    return Lines(pairs_N2[:, 0], pairs_N2[:, 1])
