"""The batcher: one batch runs while the next one fills; no timer. A free worker takes what waits.

The idea is that of huggingface/text-embeddings-inference, core/src/queue.rs and infer.rs.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from itertools import islice
from typing import Generic, TypeVar

from serving.errors import DeadlineError, QueueFullError

logger = logging.getLogger(__name__)

Q = TypeVar("Q")
A = TypeVar("A")


class BatchError(Exception):
    """The batch of this question failed; __cause__ says why."""


class Batcher(Generic[Q, A]):
    """Answers the questions of many callers in batches, in order of arrival."""

    def __init__(
        self,
        run: Callable[[Sequence[Q]], Awaitable[Sequence[A]]],
        *,
        max_batch: int,
        max_queue: int,
    ) -> None:
        """`run` gives one answer for each question, in order."""
        self._run = run
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._waiting: dict[asyncio.Future[A], tuple[Q, float | None]] = {}
        self._worker: asyncio.Task[None] | None = None
        self._batch_s = 0.0  # what the latest batch took
        self._failing = False  # whether the latest batch failed

    async def ask(self, question: Q, *, deadline: float | None = None) -> A:
        """The answer; a caller who is cancelled leaves the queue at once.

        `deadline` is in the loop's time. Raises QueueFullError, DeadlineError or BatchError.
        """
        if len(self._waiting) >= self._max_queue:
            raise QueueFullError(len(self._waiting), retry_ms=self._drain_ms())
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[A] = loop.create_future()
        self._waiting[answer] = (question, deadline)
        if self._worker is None:
            self._worker = loop.create_task(self._work(loop))
        try:
            return await answer
        finally:
            self._waiting.pop(answer, None)

    async def drain(self) -> None:
        """Waits until every question has its answer."""
        while self._worker is not None:
            await asyncio.wait([self._worker])

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def _drain_ms(self) -> int:
        batches = 1 + len(self._waiting) // self._max_batch
        return max(1, round(1000 * batches * self._batch_s))

    async def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while self._waiting:
                if batch := self._take(loop.time()):
                    started = loop.time()
                    await self._answer(batch)
                    self._batch_s = loop.time() - started
        finally:
            self._worker = None

    def _take(self, now: float) -> dict[asyncio.Future[A], Q]:
        """The next batch, without those whose deadline has passed."""
        batch: dict[asyncio.Future[A], Q] = {}
        for answer in list(islice(self._waiting, self._max_batch)):
            question, deadline = self._waiting.pop(answer)
            if answer.done():
                continue
            if deadline is not None and deadline <= now:
                answer.set_exception(DeadlineError("the deadline passed in the queue"))
            else:
                batch[answer] = question
        return batch

    async def _answer(self, batch: dict[asyncio.Future[A], Q]) -> None:
        try:
            answers = await self._run(list(batch.values()))
            for waiter, answer in zip(batch, answers, strict=True):
                if not waiter.done():
                    waiter.set_result(answer)
            self._failing = False
        except Exception as error:  # the next batch must run, and every waiter be told
            if not self._failing:  # one line for an outage, not one for each batch
                logger.exception("a batch of %d failed", len(batch))
            self._failing = True
            for waiter in batch:
                if not waiter.done():
                    failure = BatchError(f"a batch of {len(batch)} failed: {error!r}")
                    failure.__cause__ = error
                    waiter.set_exception(failure)


def in_thread(
    thread: Executor, function: Callable[[Sequence[Q]], Sequence[A]]
) -> Callable[[Sequence[Q]], Awaitable[Sequence[A]]]:
    """A batcher's `run` that calls a blocking function in the thread of an executor."""

    async def run(questions: Sequence[Q]) -> Sequence[A]:
        return await asyncio.get_running_loop().run_in_executor(thread, function, questions)

    return run
