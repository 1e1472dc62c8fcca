"""Faults of the online store: Redis frozen, killed, emptied, all under traffic."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.composed import run_program
from benchmarks.fault.scene import Scene, Stores
from benchmarks.fault.traffic import Answer, Traffic, failed, p99
from benchmarks.fault.trial import Fault, Seen, none_of
from benchmarks.report import Figure

USUAL_S, AWAY_S = 2.0, 6.0
SETTLED_S = 0.2  # what was under way when the fault came may still have been read
WHOLE = "NONE"
KEPT = ("--appendonly", "yes", "--appendfsync", "no")  # a Redis that has its data again later
PROMISE = "no error, p99 <= 100 ms, degraded answers say so; features back <= 10 s after return"


def faults() -> list[Fault]:
    """Of the online store."""
    return [
        Fault("redis-frozen", "Redis is stopped (SIGSTOP) for 6 s under traffic", PROMISE, _frozen),
        Fault("redis-killed", "Redis is killed and started again 6 s later", PROMISE, _killed),
        Fault("redis-emptied", "FLUSHALL; 6 s later `features rebuild`", PROMISE, _emptied),
    ]


def _frozen(scene: Scene) -> Seen:
    with _under_traffic(scene) as (stores, traffic):
        return _away(traffic, stores.redis.pause, stores.redis.resume)


def _killed(scene: Scene) -> Seen:
    with _under_traffic(scene, *KEPT) as (stores, traffic):
        return _away(traffic, stores.redis.kill, stores.redis.start)


def _emptied(scene: Scene) -> Seen:
    with _under_traffic(scene) as (stores, traffic):
        where = ("--home", str(stores.home), *stores.patient)

        def rebuild() -> None:
            run_program("features", "rebuild", *where)

        return _away(traffic, lambda: _flush(stores), rebuild)


@contextmanager
def _under_traffic(scene: Scene, *settings: str) -> Iterator[tuple[Stores, Traffic]]:
    with scene.stores(*settings) as stores, stores.server() as server:
        run_program("features", "drain", "--home", stores.home, *stores.arguments[:2])
        with Traffic(server.address, customers=scene.customers) as traffic:
            traffic.until(lambda answer: answer.level == WHOLE)
            time.sleep(USUAL_S)
            yield stores, traffic


def _away(traffic: Traffic, leave: Callable[[], None], come_back: Callable[[], None]) -> Seen:
    begin_time = time.monotonic()
    leave()
    left_time = time.monotonic()
    time.sleep(AWAY_S)
    return_time = time.monotonic()
    come_back()
    traffic.until(_has_features)
    whole_time = min(
        (
            each.end_time
            for each in traffic.answers
            if each.due_time > return_time and _has_features(each)
        ),
        default=float("inf"),
    )
    time.sleep(USUAL_S)
    during = traffic.between(left_time + SETTLED_S, return_time)
    return Seen(
        [
            *failed(traffic.between(begin_time, whole_time)),
            p99(during),
            none_of("answers not labelled", sum(each.level == WHOLE for each in during)),
            Figure("features back after", whole_time - return_time, "s", goal=10.0),
        ]
    )


def _has_features(answer: Answer) -> bool:
    return answer.level == WHOLE


def _flush(stores: Stores) -> None:
    with socket.create_connection(("127.0.0.1", stores.redis.port)) as line:
        line.sendall(b"FLUSHALL\r\n")
        assert line.recv(64) == b"+OK\r\n"
