"""Exploration: the first places are drawn by lot, and how probable that makes an item in a place.

Where a share is declared for new items, these and all others are two groups: one of them comes
first, the new one with that share, and within a group each order is as likely. With n new items and
m others that may be offered, an explored decision has in place p, counted from 0,

    a new item with probability    (share [p < n] + (1 - share) [p >= m]) / n
    another one with probability   ((1 - share) [p < m] + share [p >= n]) / m

Else all are others. What is pinned is not drawn, and places are counted behind it.

B customers   O that may be offered and are not pinned, customer by customer, by value
"""

import numpy as np

from features.policy.arms import Treatment


def drawn(
    customer_O: np.ndarray,
    place_O: np.ndarray,
    new_O: np.ndarray | None,
    explored_B: np.ndarray,
    how: Treatment,
    random: np.random.Generator,
) -> np.ndarray:
    """Each customer's order: where it is explored, first so many by lot, then the rest by value."""
    places_O = how.places_B[customer_O]
    keys = [random.random(len(customer_O)), customer_O]
    if new_O is not None:
        new_first_B = random.random(len(how.new_B)) < how.new_B
        keys.insert(1, new_O != new_first_B[customer_O])
    lot_O = place_O[_inverse(np.lexsort(keys))]
    key_O = np.where(explored_B[customer_O] & (lot_O < places_O), lot_O, places_O)
    return np.lexsort((place_O, key_O, customer_O))


def chance(
    place: np.ndarray,
    new: np.ndarray | bool,
    new_count: np.ndarray | int,
    other_count: np.ndarray | int,
    share: np.ndarray | float,
) -> np.ndarray:
    """With which probability an item stands in a place of an explored decision."""
    own = np.maximum(
        np.where(new, new_count, other_count), 1
    )  # of its group; pinned ones have none
    others = np.where(new, other_count, new_count)
    first = np.where(new, share, 1 - share)
    found: np.ndarray = (first * (place < own) + (1 - first) * (place >= others)) / own
    return found


def _inverse(order: np.ndarray) -> np.ndarray:
    inverse = np.empty_like(order)
    inverse[order] = np.arange(len(order))
    return inverse
