"""Admission: a call that would be answered too late is refused before any work is done for it."""

import asyncio
from collections import Counter
from types import TracebackType

from serving.batching.pace import Pace
from serving.errors import DeadlineError, QueueFullError

SHARE = 0.85  # of the time left that the answer is expected to take at most: that is but a mean
USUAL = 64  # calls inside at once


class Gate:
    """Counts the calls inside by lane (channel), and learns how long so many take.

    It sees all of a call's way: each queue, the model, and what Python takes in between.
    """

    def __init__(self) -> None:
        """Nobody is inside."""
        self.inside: Counter[str] = Counter()
        self.size = 0
        self.pace = Pace(USUAL)

    def passage(self, lane: str, deadline: float) -> "Passage":
        """To be used in a `with` around the work, if not refused; deadline in the loop's time."""
        return Passage(self, lane, deadline)

    def turn(self, lane: str) -> int:
        """After how many turns one more of a lane would be done: lanes take turns."""
        own = self.inside[lane] + 1
        if own > self.size:
            return own
        return 1 + sum(min(inside, own) for inside in self.inside.values())


class Passage:
    """One call on its way; whoever has a refusal must not enter."""

    __slots__ = ("_entry_time", "_gate", "_lane", "_turn", "refusal")

    def __init__(self, gate: Gate, lane: str, deadline: float) -> None:
        """Still outside."""
        self._gate, self._lane = gate, lane
        self._entry_time = asyncio.get_running_loop().time()
        self._turn = gate.turn(lane)
        left_s = deadline - self._entry_time
        over_s = gate.pace.seconds(self._turn, self._entry_time) - SHARE * left_s
        self.refusal = QueueFullError(wait_s=over_s) if over_s > 0 else None
        """Of a call that would probably be answered too late."""

    def __enter__(self) -> None:
        self._gate.size += 1
        self._gate.inside[self._lane] += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        gate, lane = self._gate, self._lane
        now = asyncio.get_running_loop().time()
        took_s, late = now - self._entry_time, DeadlineError | asyncio.CancelledError
        if kind is None or (issubclass(kind, late) and took_s > gate.pace.seconds(self._turn, now)):
            gate.pace.learn(self._turn, took_s, now)  # who came too late took at least so long
        gate.size -= 1
        gate.inside[lane] -= 1
        if not gate.inside[lane]:
            del gate.inside[lane]
