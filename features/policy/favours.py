"""Favours: which candidates are boosted, pinned or new, as policy and request have it.

N candidates of all customers
"""

from dataclasses import dataclass

import numpy as np

NOT_PINNED = 1 << 20


@dataclass(frozen=True, slots=True)
class Favours:
    """None where there is no such candidate."""

    boost_N: np.ndarray | None = None  # by what the value is multiplied, 1 by default
    pin_N: np.ndarray | None = None  # places from 0, in order; NOT_PINNED
    new_N: np.ndarray | None = None  # whether it gets the share of new items, where one is declared

    def within(self, begin: int, end: int) -> "Favours":
        """Those of one customer's candidates."""
        if self is NO_FAVOURS:
            return self
        every = self.boost_N, self.pin_N, self.new_N
        return Favours(*(None if each is None else each[begin:end] for each in every))


NO_FAVOURS = Favours()
