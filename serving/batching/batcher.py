"""The batcher: one batch runs while the next one fills; no timer. A free worker takes what waits.

The oldest caller of every lane (channel) is in the next batch, and nobody waits for an answer that
would come too late. The idea is that of huggingface/text-embeddings-inference, core/src/queue.rs.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Generic, TypeVar

from serving.batching.lanes import Lanes
from serving.batching.pace import Pace
from serving.errors import DeadlineError, QueueFullError

logger = logging.getLogger(__name__)

Q = TypeVar("Q")
A = TypeVar("A")
Run = Callable[[Sequence[Q]], Awaitable[Sequence[A]]]


class BatchError(Exception):
    """The batch of this question failed; __cause__ says why."""


@dataclass(slots=True, eq=False)
class Waiter(Generic[Q, A]):
    """A caller who waits."""

    question: Q
    deadline: float
    answer: asyncio.Future[A]


class Batcher(Generic[Q, A]):
    """Answers the questions of many callers in batches; within a lane in order of arrival."""

    def __init__(self, run: Run[Q, A], *, max_batch: int, max_queue: int) -> None:
        """`run` gives one answer for each question, in order."""
        self._run = run
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._waiting: Lanes[Waiter[Q, A]] = Lanes()
        self._worker: asyncio.Task[None] | None = None
        self._pace = Pace(max_batch)
        self._end_time = 0.0  # when the running batch will probably end
        self._failing = False  # whether the latest batch failed

    async def ask(self, question: Q, *, deadline: float | None = None, lane: str = "") -> A:
        """The answer; a caller who is cancelled leaves the queue at once.

        `deadline` is in the loop's time. Raises QueueFullError, DeadlineError or BatchError.
        """
        loop = asyncio.get_running_loop()
        until = math.inf if deadline is None else deadline
        self._admit(loop.time(), until, lane)
        waiter: Waiter[Q, A] = Waiter(question, until, loop.create_future())
        self._waiting.put(lane, waiter)
        if self._worker is None:
            self._worker = loop.create_task(self._work(loop))
        try:
            return await waiter.answer
        finally:
            self._waiting.remove(lane, waiter)

    def _admit(self, now: float, deadline: float, lane: str) -> None:
        if deadline <= now:
            raise DeadlineError("the deadline has passed")
        if self._worker is None:
            return  # nobody is in the way
        wait_s = self._wait_s(now, lane)
        if len(self._waiting) >= self._max_queue or now + wait_s > deadline:
            raise QueueFullError(wait_s=wait_s)

    def _wait_s(self, now: float, lane: str) -> float:
        """How long one more caller of a lane would probably wait for the answer."""
        ahead = len(self._waiting)
        if ahead >= self._max_batch:
            ahead = self._waiting.ahead_of(lane)
        batches, rest = divmod(ahead, self._max_batch)
        full_s = batches * self._pace.seconds(self._max_batch, now)
        return max(0.0, self._end_time - now) + full_s + self._pace.seconds(rest + 1, now)

    @property
    def waiting(self) -> int:
        """How many are not in a batch yet."""
        return len(self._waiting)

    async def drain(self) -> None:
        """Waits until every question has its answer."""
        while self._worker is not None:
            await asyncio.wait([self._worker])

    async def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        hopeful = True  # nobody was in the way of who came first: they are tried in any case
        try:
            while self._waiting:
                if batch := self._take(started := loop.time(), hopeful=hopeful):
                    self._end_time = started + self._pace.seconds(len(batch), started)
                    await self._answer(batch)
                    self._pace.learn(len(batch), (now := loop.time()) - started, now)
                hopeful = False
        finally:
            self._worker = None

    def _take(self, now: float, *, hopeful: bool) -> list[Waiter[Q, A]]:
        """The next batch: those whose turn it is and who can be answered in time."""
        size = min(len(self._waiting), self._max_batch)
        end_time = now if hopeful else now + self._pace.seconds(size, now)
        batch: list[Waiter[Q, A]] = []
        late: list[Waiter[Q, A]] = []
        turns = self._waiting.take_turns()
        while len(batch) < self._max_batch and (waiter := next(turns, None)):
            if not waiter.answer.done():
                (batch if waiter.deadline >= end_time else late).append(waiter)
        for waiter in late:
            waiter.answer.set_exception(DeadlineError("the answer would come too late"))
        return batch

    async def _answer(self, batch: Sequence[Waiter[Q, A]]) -> None:
        try:
            answers = await self._run([waiter.question for waiter in batch])
            for waiter, answer in zip(batch, answers, strict=True):
                if not waiter.answer.done():
                    waiter.answer.set_result(answer)
            self._failing = False
        except Exception as error:  # the next batch must run, and every waiter be told
            if not self._failing:  # one line for an outage, not one for each batch
                logger.exception("a batch of %d failed", len(batch))
            self._failing = True
            for waiter in batch:
                if not waiter.answer.done():
                    failure = BatchError(f"a batch of {len(batch)} failed: {error!r}")
                    failure.__cause__ = error
                    waiter.answer.set_exception(failure)


def in_thread(thread: Executor, function: Callable[[Sequence[Q]], Sequence[A]]) -> Run[Q, A]:
    """A batcher's `run` that calls a blocking function in the thread of an executor."""

    async def run(questions: Sequence[Q]) -> Sequence[A]:
        return await asyncio.get_running_loop().run_in_executor(thread, function, questions)

    return run
