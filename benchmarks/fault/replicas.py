"""Faults of a replica: one of two ends under load, politely or not; the client has both."""

import signal
import time
from collections.abc import Mapping
from typing import Any

from benchmarks.fault.scene import Scene
from benchmarks.fault.traffic import RETRIES, ROUND_ROBIN, Traffic, failed, p99
from benchmarks.fault.trial import Fault, Seen

BEFORE_S, AFTER_S = 3.0, 6.0
RATE = 150.0
PROMISE = "0 failed calls"


def faults() -> list[Fault]:
    """Of one of two replicas."""
    return [
        Fault(
            "replica-terminated",
            "SIGTERM to one of two replicas under load; the client takes turns, retries nothing",
            PROMISE,
            lambda scene: _end(scene, signal.SIGTERM, ROUND_ROBIN),
        ),
        Fault(
            "replica-killed",
            "the same with SIGKILL; the client retries UNAVAILABLE",
            PROMISE,
            lambda scene: _end(scene, signal.SIGKILL, ROUND_ROBIN | RETRIES),
        ),
    ]


def _end(scene: Scene, how: signal.Signals, service_config: Mapping[str, Any]) -> Seen:
    with (
        scene.stores() as stores,
        stores.server() as one,
        stores.server() as other,
        Traffic(
            one.address,
            other.address,
            customers=scene.customers,
            rate=RATE,
            service_config=dict(service_config),
        ) as traffic,
    ):
        time.sleep(BEFORE_S)
        begin_time = time.monotonic()
        other.process.send_signal(how)
        time.sleep(AFTER_S)
        end_time = time.monotonic()
    answers = traffic.between(begin_time - BEFORE_S, end_time)
    after = traffic.between(begin_time, end_time)
    return Seen([*failed(answers), p99(after, goal=None)])
