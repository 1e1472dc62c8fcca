"""One process of the load generator: waits for the start, calls, stamps the times."""

import asyncio
import gc
import importlib
import itertools
import os
import pickle
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import IO, Any

import numpy as np
import uvloop

from benchmarks.connections import Call, connect
from benchmarks.load import CALL, Load, LoadError, arrivals

TIMER_S = 0.001
SPIN_S = 0.002
"""uvloop's timers count whole milliseconds: for so long before a call is due the loop is polled
instead. That keeps one core busy in an open loop of many calls, and the lag near 0.03 ms."""

Send = Callable[[float], Coroutine[Any, Any, None]]
"""Makes one call that is due at the given time, and notes how it went."""


def main() -> None:
    """Reads (Load, process) and the start time from stdin, writes the calls to stdout."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which kills this
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what others print must not mix with the answer
    load, process = pickle.load(sys.stdin.buffer)
    try:
        calls = uvloop.run(_drive(load, process, answer))
    except LoadError as error:
        raise SystemExit(f"load generator: {error}") from None
    pickle.dump(calls, answer)
    answer.close()


async def _drive(load: Load, process: int, answer: IO[bytes]) -> np.ndarray:
    """Connects, waits for the start, calls."""
    requests = _requests(load, process)
    async with connect(load) as call:
        calls: list[tuple[float, float, float, int]] = []
        send = _sender(call, requests, calls)
        gc.freeze()
        pickle.dump("ready", answer)
        answer.flush()
        start_time: float = pickle.load(sys.stdin.buffer)
        loop = _open_loop if load.rate is not None else _closed_loop
        await loop(load, process, start_time, send)
    return np.array(calls, CALL)


def _requests(load: Load, process: int) -> Iterator[bytes]:
    if isinstance(load.requests, str):
        module, _, function = load.requests.partition(":")
        return iter(getattr(importlib.import_module(module), function)(process))
    return itertools.islice(itertools.cycle(load.requests), process, None, load.processes)


def _sender(call: Call, requests: Iterator[bytes], calls: list[Any]) -> Send:
    async def send(due_time: float) -> None:
        sent_time = time.monotonic()
        code = await call(next(requests))
        calls.append((due_time, sent_time, time.monotonic(), code))

    return send


async def _open_loop(load: Load, process: int, start_time: float, send: Send) -> None:
    async with asyncio.TaskGroup() as group:
        for due_time in (start_time + arrivals(load, process)).tolist():
            await _until(due_time, exact=load.exact)
            group.create_task(send(due_time))


async def _until(due_time: float, *, exact: bool = True) -> None:
    """Waits; passes through the event loop at least once, so that answers are seen in time."""
    left_s = due_time - time.monotonic()
    while not exact and left_s > 0:
        await asyncio.sleep(max(left_s, TIMER_S))
        left_s = due_time - time.monotonic()
    if left_s > 2 * SPIN_S:
        await asyncio.sleep(left_s - SPIN_S)
    await asyncio.sleep(0)
    while time.monotonic() < due_time:  # noqa: ASYNC110  no event is as exact as the clock
        await asyncio.sleep(0)


async def _closed_loop(load: Load, process: int, start_time: float, send: Send) -> None:
    goes_on = _goes_on(load, process, start_time + load.warmup_s)

    async def caller() -> None:
        await _until(start_time)
        while goes_on(now := time.monotonic()):
            await send(now)

    async with asyncio.TaskGroup() as group:
        for _ in range(_share(load.callers or 0, load, process)):
            group.create_task(caller())


def _goes_on(load: Load, process: int, begin_time: float) -> Callable[[float], bool]:
    """Whether a caller calls once more; the calls of the warm-up are not counted."""
    if load.seconds is not None:
        until_time = begin_time + load.seconds
        return lambda now: now < until_time
    left = iter(range(_share(load.calls or 0, load, process)))
    return lambda now: now < begin_time or next(left, None) is not None


def _share(whole: int, load: Load, process: int) -> int:
    """This process's part of a number that all processes share."""
    return whole // load.processes + (process < whole % load.processes)


if __name__ == "__main__":
    main()
