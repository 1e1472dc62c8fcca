"""Moves of items to another axis: a longer one before theirs is full, or that of another model."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from features.content import Content
from features.encoding import ItemIndex
from features.item import Item
from serving.items.axis import LEAST_ROOM, ItemAxis
from serving.processes.leisure import at_leisure, in_haste

SPARE = 1.25  # of the room that is needed: what has just grown does not grow again at once
EARLY = 0.75  # of the room: when so much is used, a longer axis is begun
ITEMS_A_STEP = 500


def room_for(count: int) -> int:
    """For so many fresh items, and some to spare."""
    room = LEAST_ROOM
    while room < SPARE * count:
        room *= 2
    return room


class Growth:
    """The longer axis that comes after one, filled little by little while that one has room.

    Each write moves a share of the items, so that none has to wait until all have been moved.
    Only fresh items that are held come along. For the thread that writes the old axis.
    """

    def __init__(self, old: ItemAxis, held: Callable[[str], bool], *, by: int = 0) -> None:
        """Will have room for what the old axis may still take, and so many more."""
        self._new = old.longer(room_for(old.live + old.room - old.used + by))
        self._old, self._held = old, held
        self._begun = old.used
        self._moved = 0  # places of the old axis
        self._cleared = 0  # rows of the new one

    @staticmethod
    def is_due(axis: ItemAxis) -> bool:
        """Whether it is time to begin a longer axis."""
        return axis.used > EARLY * axis.room

    def fits(self, count: int) -> bool:
        """Whether the new axis has room for all that may still be moved, and so many more."""
        first = len(self._old.known.item_ids)
        unmoved = self._old.used - max(0, self._moved - first)
        return self._new.used + unmoved + count <= self._new.room

    def follow(self, places: np.ndarray) -> None:
        """Keeps up with what has been written at these places, and moves some more."""
        first = len(self._old.known.item_ids)
        there = places[places < self._moved].tolist()
        ids = dict(zip(there, self._old.item_ids(there), strict=True))
        back = [
            at for at, each in ids.items() if self._new.place(each) is None and self._held(each)
        ]
        self._new.adopt(self._old, [at - first for at in back])
        pairs = [(at, here) for at in there if (here := self._new.place(ids[at])) is not None]
        self._copy(*np.array(pairs, np.int64).reshape(-1, 2).T)
        left = self._old.room - self._begun
        self._move((self._old.used - self._begun) / left if left else 1.0)

    def finish(self) -> ItemAxis:
        """The new axis, with all that is on the old one."""
        self._move(1.0)
        return self._new

    def _move(self, share: float) -> None:
        """As much as makes it so large a share of the whole."""
        old, new, first = self._old, self._new, len(self._old.known.item_ids)
        cleared = math.ceil(share * new.room)
        if cleared > self._cleared:
            new.clear(slice(self._cleared, cleared))
            self._cleared = cleared
        start, end = self._moved, math.ceil(share * (first + old.used))
        if end <= start:
            return
        known = np.arange(start, max(start, min(end, first)))
        rows = range(max(start, first) - first, max(end, first) - first)
        kept = [each for each in rows if self._held(old.fresh.item_ids[each])]
        here = np.append(known, first + new.used + np.arange(len(kept)))
        new.adopt(old, kept)
        self._moved = end
        self._copy(np.append(known, first + np.array(kept, np.int64)), here)

    def _copy(self, there: np.ndarray, here: np.ndarray) -> None:
        self._new.take(self._old, there, here)
        first = len(self._old.known.item_ids)
        fresh = here >= first
        self._new.fresh_ND1[here[fresh] - first] = self._old.fresh_ND1[there[fresh] - first]


def realigned(
    axis: ItemAxis, items: Sequence[Item], known: ItemIndex, content: Content | None
) -> ItemAxis:
    """These items on the axis of another model. Any thread may do this, at leisure.

    What is written to the old axis meanwhile may be missing, in whole or in part.
    """
    fresh = sum(each.item_id not in known.index_by_id for each in items)
    new = ItemAxis(known, content, room=room_for(fresh))
    if axis.content is not None:
        new.share_terms(axis)
    breathe = in_haste if axis.content is None else at_leisure()
    for start in range(0, len(items), ITEMS_A_STEP):
        some = items[start : start + ITEMS_A_STEP]
        if axis.content is None:  # the first model: not all items have a place yet
            new.put(some)
        else:
            _carry(axis, some, new)
        breathe()
    return new


def _carry(axis: ItemAxis, items: Sequence[Item], new: ItemAxis) -> None:
    """What has no place on the axis has gone meanwhile."""
    held = [each for each in items if axis.place(each.item_id) is not None]
    if new.content is not None:
        new.add(each.item_id for each in held if new.place(each.item_id) is None)
    held = [each for each in held if new.place(each.item_id) is not None]
    there, here = (
        np.array([at.place(each.item_id) for each in held], np.int64) for at in (axis, new)
    )
    new.take(axis, there, here)
    new.embed(here, held)
