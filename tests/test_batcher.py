"""The batcher: fills while it runs, refuses when full, drops who left, tells every waiter."""

import asyncio
from collections.abc import Sequence

import pytest

from serving.batcher import Batcher, BatchError
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
        with pytest.raises(QueueFullError, match="2 calls are waiting") as refused:
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
        assert [type(each) for each in failed] == [BatchError] * 3
        assert all(isinstance(each.__cause__, ValueError) for each in failed)
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
