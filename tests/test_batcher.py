"""The batcher: fills while it runs, refuses who would wait too long, is fair, tells everybody."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from serving.batching.batcher import Batcher, BatchError
from serving.errors import DeadlineError, QueueFullError


class Worker:
    """Doubles numbers, a batch each time it is released."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.released = asyncio.Semaphore(0)

    async def double(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        await self.released.acquire()
        if 13 in numbers:
            raise ValueError("13")
        return [2 * each for each in numbers]


async def settle() -> None:
    """Lets every task that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_one_batch_runs_while_the_next_fills() -> None:
    async def scenario() -> None:
        worker = Worker()
        batcher = Batcher(worker.double, max_batch=3, max_queue=9)
        asked = [asyncio.create_task(batcher.ask(number)) for number in range(6)]
        await settle()
        assert worker.batches == [[0, 1, 2]]
        late = asyncio.create_task(batcher.ask(6))
        for _ in range(3):
            worker.released.release()
        assert await asyncio.gather(*asked, late) == [0, 2, 4, 6, 8, 10, 12]
        assert worker.batches == [[0, 1, 2], [3, 4, 5], [6]]

    asyncio.run(scenario())


def test_a_free_worker_takes_what_is_there() -> None:
    async def scenario() -> None:
        worker = Worker()
        batcher = Batcher(worker.double, max_batch=3, max_queue=9)
        for number in (1, 2):
            worker.released.release()
            assert await batcher.ask(number) == 2 * number
        assert worker.batches == [[1], [2]]

    asyncio.run(scenario())


def test_full_queue_refuses() -> None:
    async def scenario() -> None:
        worker = Worker()
        batcher = Batcher(worker.double, max_batch=1, max_queue=2)
        first = asyncio.create_task(batcher.ask(0))
        await settle()
        waiting = [asyncio.create_task(batcher.ask(number)) for number in (1, 2)]
        await settle()
        with pytest.raises(QueueFullError, match="too many calls wait") as refused:
            await batcher.ask(3)
        assert refused.value.retry_ms >= 1
        for _ in range(3):
            worker.released.release()
        assert await asyncio.gather(first, *waiting) == [0, 2, 4]

    asyncio.run(scenario())


def test_callers_who_left_cost_no_work_and_no_place() -> None:
    async def scenario() -> None:
        worker = Worker()
        batcher = Batcher(worker.double, max_batch=9, max_queue=1)
        first = asyncio.create_task(batcher.ask(0))
        await settle()
        leaver = asyncio.create_task(batcher.ask(1))
        await settle()
        leaver.cancel()
        await settle()
        stayer = asyncio.create_task(batcher.ask(2))
        for _ in range(2):
            worker.released.release()
        assert await asyncio.gather(first, stayer) == [0, 4]
        assert worker.batches == [[0], [2]]

    asyncio.run(scenario())


def test_who_leaves_a_running_batch_harms_nobody() -> None:
    async def scenario() -> None:
        worker = Worker()
        batcher = Batcher(worker.double, max_batch=2, max_queue=9)
        leaver, stayer = (asyncio.create_task(batcher.ask(number)) for number in (0, 1))
        await settle()
        leaver.cancel()
        worker.released.release()
        assert await stayer == 2

    asyncio.run(scenario())


def test_a_passed_deadline_is_dropped_before_any_work() -> None:
    async def scenario() -> None:
        worker = Worker()
        batcher = Batcher(worker.double, max_batch=1, max_queue=9)
        first = asyncio.create_task(batcher.ask(0))
        await settle()
        now = asyncio.get_running_loop().time()
        late = asyncio.create_task(batcher.ask(1, deadline=now - 1))
        early = asyncio.create_task(batcher.ask(2, deadline=now + 3600))
        for _ in range(2):
            worker.released.release()
        assert await asyncio.gather(first, early) == [0, 4]
        with pytest.raises(DeadlineError):
            await late
        assert worker.batches == [[0], [2]]

    asyncio.run(scenario())


def test_an_error_reaches_every_waiter_and_the_next_batch_runs() -> None:
    async def scenario() -> None:
        worker = Worker()
        batcher = Batcher(worker.double, max_batch=3, max_queue=9)
        asked = [asyncio.create_task(batcher.ask(number)) for number in (12, 13, 14, 15)]
        for _ in range(2):
            worker.released.release()
        *failed, fine = await asyncio.gather(*asked, return_exceptions=True)
        causes = [each.__cause__ for each in failed if isinstance(each, BatchError)]
        assert [type(each) for each in causes] == [ValueError] * 3
        assert fine == 30

    asyncio.run(scenario())


def test_a_worker_that_loses_an_answer_is_an_error() -> None:
    async def lose(numbers: Sequence[int]) -> list[int]:
        return []

    async def scenario() -> None:
        with pytest.raises(BatchError):
            await Batcher(lose, max_batch=1, max_queue=1).ask(1)

    asyncio.run(scenario())


def test_drain_waits_for_every_answer() -> None:
    async def scenario() -> None:
        worker = Worker()
        batcher = Batcher(worker.double, max_batch=1, max_queue=9)
        asked = [asyncio.create_task(batcher.ask(number)) for number in (1, 2)]
        await settle()
        for _ in range(2):
            worker.released.release()
        await batcher.drain()
        await settle()
        assert [each.result() for each in asked] == [2, 4]

    asyncio.run(scenario())


class ClockLoop(asyncio.SelectorEventLoop):
    """A loop whose time is told to it."""

    now = 100.0

    def time(self) -> float:
        return self.now


def on_clock(scenario: Callable[[ClockLoop], Coroutine[Any, Any, None]]) -> None:
    loop = ClockLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(scenario(loop))


def test_who_cannot_be_answered_in_time_is_refused_before_any_work_until_that_is_old_news() -> None:
    async def scenario(loop: ClockLoop) -> None:
        asked: list[int] = []

        async def slow(numbers: Sequence[int]) -> Sequence[int]:
            asked.extend(numbers)
            loop.now += 0.125
            return numbers

        batcher = Batcher(slow, max_batch=4, max_queue=9)
        await batcher.ask(1)
        assert await batcher.ask(2, deadline=loop.now + 0.1) == 2  # nobody was before it
        beside = (batcher.ask(3), batcher.ask(4, deadline=loop.now + 0.1))
        _, refused = await asyncio.gather(*beside, return_exceptions=True)
        assert isinstance(refused, QueueFullError)
        assert refused.retry_ms == 130
        assert await batcher.ask(5, deadline=loop.now + 0.2) == 5
        loop.now += 1.1
        beside = (batcher.ask(6), batcher.ask(7, deadline=loop.now + 0.1))
        assert await asyncio.gather(*beside) == [6, 7]
        assert asked == [1, 2, 3, 5, 6, 7]

    on_clock(scenario)


def test_who_could_have_been_in_time_but_no_more_is_dropped_before_any_work() -> None:
    async def scenario(loop: ClockLoop) -> None:
        worker = Worker()
        batcher = Batcher(worker.double, max_batch=4, max_queue=9)
        first = asyncio.create_task(batcher.ask(0))
        await settle()
        waiting = [asyncio.create_task(batcher.ask(n, deadline=100.2 + n)) for n in (1, 2)]
        await settle()
        loop.now += 0.9  # the next one will take as long, which is until 101.8
        for _ in range(2):
            worker.released.release()
        assert await asyncio.gather(first, waiting[1]) == [0, 4]
        with pytest.raises(DeadlineError, match="would come too late"):
            await waiting[0]
        assert worker.batches == [[0], [2]]

    on_clock(scenario)


def test_a_flood_in_one_lane_does_not_keep_another_waiting() -> None:
    async def scenario() -> None:
        worker = Worker()
        batcher = Batcher(worker.double, max_batch=4, max_queue=999)
        flood = [asyncio.create_task(batcher.ask(n, lane="web")) for n in range(100, 604)]
        await settle()
        single = asyncio.create_task(batcher.ask(1, lane="store"))
        await settle()
        for _ in range(2):
            worker.released.release()
        assert await single == 2
        assert worker.batches[:2] == [[100, 101, 102, 103], [104, 1, 105, 106]]
        for each in flood:
            each.cancel()
        await asyncio.gather(*flood, return_exceptions=True)
        worker.released.release()
        await batcher.drain()

    asyncio.run(scenario())
