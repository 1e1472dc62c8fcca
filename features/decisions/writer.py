"""The writer: decisions go to the log in a thread of its own, and nobody ever waits for it.

What does not fit into the waiting room, or cannot be written, is dropped and counted.
"""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from features.decisions.contract import Stream, encode
from features.decisions.decision import LoggedDecision
from features.log.contract import LogError

MAX_WAITING = 4096
MAX_BATCH = 64  # decisions of one message
GATHER_S = 0.05  # what is offered within it is one message: a small one costs as much as a large

logger = logging.getLogger(__name__)
T = TypeVar("T")


class DecisionWriter(Generic[T]):
    """Writes what is offered, from the first one until close()."""

    def __init__(
        self,
        open_stream: Callable[[], Stream],
        logged: Callable[[T], LoggedDecision],
        *,
        note: Callable[[str, int], None] = lambda ending, count: None,
        resting: Callable[[], Callable[[], None]] = lambda: lambda: None,
        max_waiting: int = MAX_WAITING,
        gather_s: float = GATHER_S,
    ) -> None:
        """The thread opens the log, and makes decisions of what is offered: `logged`.

        `note` is told how many were written, and how many dropped. `resting` gives what is called
        after each decision while few wait, and nobody for the writing: so that other threads may
        go on between them.
        """
        self._open_stream, self._logged, self._note = open_stream, logged, note
        self._gather_s, self._resting = gather_s, resting
        self._stream: Stream | None = None
        self._failing = False
        self._waiting: queue.Queue[T | threading.Event | None] = queue.Queue(max_waiting)
        self._heard: list[threading.Event] = []  # to be set once what came before is written
        self._closing = False
        self._hurry = threading.Event()  # somebody waits for the writing
        self._thread = threading.Thread(target=self._run, name="decisions", daemon=True)
        self._thread.start()

    def offer(self, one: T) -> None:
        """Takes it, or drops it; neither waits nor raises."""
        try:
            self._waiting.put_nowait(one)
        except queue.Full:
            self._note("dropped", 1)

    def flush(self) -> None:
        """Returns when what was offered so far has been written, or dropped. Blocks."""
        come = threading.Event()
        self._waiting.put(come)
        self._hurry.set()
        come.wait()

    def close(self) -> None:
        """Writes what waits, and ends the thread. Blocks."""
        self._waiting.put(None)
        self._hurry.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing:
            self._write_next()
            for each in self._heard:
                each.set()
            self._heard.clear()
        if self._stream is not None:
            self._stream.close()

    def _write_next(self) -> None:
        """Holds nothing of it afterwards: what is offered may hold a model that is to go."""
        offered = self._next()
        written = self._write(offered)
        if written:
            self._note("written", written)
        if written < len(offered):
            self._note("dropped", len(offered) - written)

    def _next(self) -> list[T]:
        """What is offered in a while: at least one, or who waits for the writing, or the end."""
        offered: list[T] = []
        self._take(self._waiting.get(), offered)
        if self._waiting.qsize() < MAX_BATCH:
            self._hurry.wait(self._gather_s)
        self._hurry.clear()
        while len(offered) < MAX_BATCH and not (self._closing or self._heard):
            try:
                self._take(self._waiting.get_nowait(), offered)
            except queue.Empty:
                break
        return offered

    def _take(self, one: T | threading.Event | None, offered: list[T]) -> None:
        if one is None:
            self._closing = True
        elif isinstance(one, threading.Event):
            self._heard.append(one)
        else:
            offered.append(one)

    def _write(self, offered: Sequence[T]) -> int:
        """Gives how many were written."""
        if not offered:
            return 0
        try:
            if self._stream is None:
                self._stream = self._open_stream()
            self._stream.append(encode(self._made(offered)))
            self._failing = False
        except LogError as error:
            if not self._failing:  # one line for an outage, not one for each batch
                logger.warning("decisions are not logged: %s", error)
            self._failing = True
            return 0
        except Exception:  # one batch that cannot be told must not end the writing
            logger.exception("%d decisions cannot be logged", len(offered))
            return 0
        return len(offered)

    def _made(self, offered: Sequence[T]) -> list[LoggedDecision]:
        made, rest = [], self._resting()
        for each in offered:
            made.append(self._logged(each))
            if not (self._heard or self._closing or self._hurry.is_set()) and self._has_time():
                rest()
        return made

    def _has_time(self) -> bool:
        return self._waiting.qsize() < MAX_BATCH
