"""Lanes: who waits stands in a lane, and the lanes take turns, so that a flood delays its own."""

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from itertools import count
from typing import Generic, TypeVar

W = TypeVar("W", bound=Hashable)


class Lanes(Generic[W]):
    """All who wait; within a lane in order of arrival."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._lanes: dict[str, OrderedDict[W, int]] = {}  # with numbers in order of arrival
        self._numbers = count()
        self._size = 0

    def __len__(self) -> int:
        """How many wait."""
        return self._size

    def put(self, lane: str, waiter: W) -> None:
        """Stands at the end of a lane."""
        if (line := self._lanes.get(lane)) is None:
            line = self._lanes[lane] = OrderedDict()
        line[waiter] = next(self._numbers)
        self._size += 1

    def remove(self, lane: str, waiter: W) -> None:
        """Leaves; nothing happens where it has had its turn."""
        line = self._lanes.get(lane)
        if line is not None and line.pop(waiter, None) is not None:
            self._size -= 1

    def ahead_of(self, lane: str) -> int:
        """How many of those who wait have their turn before one who would come now."""
        own = len(self._lanes.get(lane, ())) + 1
        return sum(min(len(line), own) for line in self._lanes.values())

    def take_turns(self) -> Iterator[W]:
        """The oldest of each lane, beginning with the oldest of all, and again until all are out.

        Whoever is given has left its lane. Nobody may come or leave before the iteration ends.
        """
        self._lanes = {lane: line for lane, line in self._lanes.items() if line}
        turns = deque(sorted(self._lanes.values(), key=_oldest))
        while turns:
            line = turns.popleft()
            waiter, _ = line.popitem(last=False)
            self._size -= 1
            if line:
                turns.append(line)
            yield waiter


def _oldest(line: OrderedDict[W, int]) -> int:
    return next(iter(line.values()))
