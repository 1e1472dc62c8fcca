"""The online store alone: how long a read and a merge take, beside the bare store as a floor."""

import asyncio
import gc
import itertools
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import redis

from benchmarks.load import percentile
from benchmarks.report import Figure
from features.online.store import OnlineFeatures
from features.record import TICK_SHIFT, records_of
from serving.batching.batcher import Batcher, in_thread

CUSTOMERS = 5000
RECORDS = 50  # of each customer
CALLS = 3000
OPEN_RATE = 10_200  # customers a second that are asked for
OPEN_SECONDS = 3.0
MEMORY_CUSTOMERS = 200_000
CUSTOMERS_A_WRITE = 500


def customer(number: int) -> str:
    """The key of a made-up customer."""
    return f"customer-{number:07d}"


def histories(count: int, *, first: int = 0) -> Iterator[dict[str, bytes]]:
    """Full histories of so many customers, some at a time; random items, channels and amounts."""
    rng = np.random.default_rng(first)
    for start in range(first, first + count, CUSTOMERS_A_WRITE):
        keys = [customer(each) for each in range(start, start + CUSTOMERS_A_WRITE)]
        shape = len(keys), RECORDS
        ticks = np.sort(rng.integers(4 * 10**11, 45 * 10**10, shape), axis=1)
        heads = ticks << TICK_SHIFT | rng.integers(0, 1 << TICK_SHIFT, shape)
        tails = rng.integers(0, 1 << 48, shape)
        records = records_of(heads.ravel().astype(np.uint64), tails.ravel().astype(np.uint64))
        yield {key: row.tobytes() for key, row in zip(keys, records.reshape(shape), strict=True)}


def fill(online: OnlineFeatures, count: int) -> None:
    """Writes the histories of so many customers."""
    for some in histories(count):
        online.write_records(some)


def reads(online: OnlineFeatures, name: str, *, batch: int, goal_ms: float) -> list[Figure]:
    """One customer, and a batch of so many, for which the goal is."""
    turns = itertools.cycle(range(CUSTOMERS))
    one = _latencies_ms(lambda: online.read_histories([customer(next(turns))]), CALLS)
    many = _latencies_ms(
        lambda: online.read_histories([customer(next(turns)) for _ in range(batch)]), CALLS // 5
    )
    return [
        Figure(f"{name}: one customer's features, p50", percentile(one, 50), "ms"),
        Figure(f"{name}: one customer's features, p99", percentile(one, 99), "ms"),
        Figure(f"{name}: a batch of {batch}, p50", percentile(many, 50), "ms", goal=goal_ms),
    ]


def against_floor(online: OnlineFeatures, url: str, name: str) -> list[Figure]:
    """Feast's public call beside a raw HMGET of the same bytes, in turns."""
    client: Any = redis.Redis.from_url(url)
    floors = [*client.scan_iter(match="*customer-*", count=1000)][:CUSTOMERS]
    fields = [*client.hgetall(floors[0])]
    service = online.feast.get_feature_service(_service(online))
    turns, ours, floor = itertools.cycle(range(CUSTOMERS)), [], []
    for place in range(CALLS):
        at = next(turns)
        began = time.perf_counter()
        online.feast.get_online_features(service, {"customer_key": [customer(at)]})
        middle = time.perf_counter()
        client.hmget(floors[at % len(floors)], fields)
        if place >= CALLS // 10:
            ours.append((middle - began) * 1e3)
            floor.append((time.perf_counter() - middle) * 1e3)
    client.close()
    p50, raw = percentile(np.array(ours), 50), percentile(np.array(floor), 50)
    return [
        Figure(f"{name}: get_online_features, one customer, p50", p50, "ms", goal=0.2),
        Figure(f"{name}: raw HMGET of the same bytes, p50", raw, "ms"),
        Figure(f"{name}: get_online_features / raw HMGET", p50 / raw, goal=1.5),
    ]


def _service(online: OnlineFeatures) -> str:
    names = [each.name for each in online.feast.list_feature_services()]
    return next(name for name in names if name.startswith("decision-v"))


def merges(online: OnlineFeatures, name: str, *, goal: float | None) -> list[Figure]:
    """One newer record into a full history."""
    rng, turns = np.random.default_rng(1), itertools.cycle(range(CUSTOMERS))

    def merge() -> None:
        tail = rng.integers(0, 1 << 48, 1, np.uint64)
        record = records_of(np.array([46 * 10**10 << TICK_SHIFT], np.uint64), tail)
        online.write_records({customer(next(turns)): record.tobytes()})

    p50 = percentile(_latencies_ms(merge, CALLS // 2), 50)
    return [Figure(f"{name}: one interaction merged, p50", p50, "ms", goal=goal)]


def _latencies_ms(call: Callable[[], object], count: int) -> np.ndarray:
    for _ in range(count // 10):
        call()
    gc.collect()
    gc.freeze()
    latencies = np.empty(count)
    for place in range(count):
        began = time.perf_counter()
        call()
        latencies[place] = (time.perf_counter() - began) * 1e3
    return latencies


def coalesced(online: OnlineFeatures, name: str) -> list[Figure]:
    """Concurrent callers share a read, as in serving; all of it on one core, calls as due."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        latencies, seconds = asyncio.run(_open_loop(online))
    finally:
        os.sched_setaffinity(0, cores)
    rate = len(latencies) / seconds
    p99, name = percentile(latencies, 99), f"{name}: coalesced on one core"
    return [
        Figure(f"{name}, customers/s", rate, "/s", goal=10_000, better="higher"),
        Figure(f"{name}, from due to read, p99", p99, "ms", goal=3),
    ]


async def _open_loop(online: OnlineFeatures) -> tuple[np.ndarray, float]:
    executor = ThreadPoolExecutor(1)
    batcher: Batcher[str, bytes] = Batcher(
        in_thread(executor, online.read_histories), max_batch=64, max_queue=100_000
    )
    rng = np.random.default_rng(0)
    count = int(OPEN_RATE * OPEN_SECONDS)
    due = np.sort(rng.uniform(0.0, OPEN_SECONDS, count))
    latencies = np.empty(count)
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def ask(place: int) -> None:
        await batcher.ask(customer(place % CUSTOMERS))
        latencies[place] = (loop.time() - began - due[place]) * 1e3

    # Calls that are due are made each millisecond; they count from when they were due.
    under_way: set[asyncio.Task[None]] = set()
    made = 0
    while made < count or under_way:
        now = loop.time() - began
        while made < count and due[made] <= now:
            task = loop.create_task(ask(made))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            made += 1
        await asyncio.sleep(0.0005)
    seconds = loop.time() - began
    executor.shutdown()
    return latencies, seconds


def memory(online: OnlineFeatures, url: str, name: str) -> list[Figure]:
    """What the server uses for many full histories, scaled to a million customers."""
    client: Any = redis.Redis.from_url(url)
    before = client.info("memory")["used_memory"]
    for some in histories(MEMORY_CUSTOMERS, first=1_000_000):
        online.write_records(some)
    used = client.info("memory")["used_memory"] - before
    client.close()
    a_million = used / MEMORY_CUSTOMERS * 1e6 / 2**30
    title = f"{name}: memory of a million customers, {RECORDS} records each"
    return [
        Figure(title, a_million, "GiB", goal=0.9),
        Figure(f"{name}: memory of a record", used / MEMORY_CUSTOMERS / RECORDS, "bytes"),
    ]
