"""Traffic during a fault: a steady open loop of decisions whose answers are looked at."""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count, cycle
from typing import Any, NamedTuple

import grpc
import numpy as np
from interplay.v1.personalization_service_pb2 import DegradationLevel
from interplay.v1.personalization_service_pb2_grpc import PersonalizationServiceStub

from benchmarks.frontend import question
from benchmarks.load import percentile
from benchmarks.report import Figure

RATE = 100.0  # calls a second
TIMEOUT_S = 5.0  # so long that only a fault, not a busy machine, makes a call fail
OK = "OK"
ROUND_ROBIN: dict[str, Any] = {"loadBalancingConfig": [{"round_robin": {}}]}
RETRIES = {
    "methodConfig": [
        {
            "name": [{"service": "interplay.v1.PersonalizationService"}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.02s",
                "maxBackoff": "0.2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}


class Answer(NamedTuple):
    """How one call went."""

    due_time: float  # time.monotonic()
    end_time: float
    code: str
    level: str  # how far the answer was degraded
    version: str  # of the model


class Traffic:
    """Calls from `with` to the end of the block; the answers are there after it, and during it."""

    def __init__(
        self,
        *addresses: str,
        customers: Sequence[str],
        rate: float = RATE,
        service_config: dict[str, Any] | None = None,
    ) -> None:
        """Several addresses are asked as the service config says."""
        self.answers: list[Answer] = []
        self._target = f"ipv4:{','.join(addresses)}" if len(addresses) > 1 else addresses[0]
        self._customers, self._rate = cycle(customers), rate
        self._options = [("grpc.service_config", json.dumps(service_config or {}))]
        self._ended = threading.Event()
        self._grown = threading.Condition()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._call()))

    def __enter__(self) -> "Traffic":
        self._thread.start()
        self.until(lambda answer: answer.code == OK)
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def until(self, wanted: Callable[[Answer], bool], *, within_s: float = 30.0) -> float:
        """When the next answer came that is wanted; infinity where none did in time."""
        seen = len(self.answers)
        until_time = time.monotonic() + within_s
        with self._grown:
            while (left_s := until_time - time.monotonic()) > 0:
                for answer in self.answers[seen:]:
                    if wanted(answer):
                        return answer.end_time
                seen = len(self.answers)
                self._grown.wait(left_s)
        return float("inf")

    def between(self, begin_time: float, end_time: float) -> list[Answer]:
        """The answers to calls that were due then."""
        return [each for each in self.answers if begin_time <= each.due_time <= end_time]

    async def _call(self) -> None:
        async with grpc.aio.insecure_channel(self._target, options=self._options) as channel:
            stub, begin_time = PersonalizationServiceStub(channel), time.monotonic()
            async with asyncio.TaskGroup() as group:
                for number in count():
                    due_time = begin_time + number / self._rate
                    await asyncio.sleep(max(0.0, due_time - time.monotonic()))
                    if self._ended.is_set():
                        return
                    group.create_task(self._ask(stub, next(self._customers), due_time))

    async def _ask(self, stub: Any, customer: str, due_time: float) -> None:
        level, version = "", ""
        try:
            reply = await stub.DecideInteraction(question(customer, "web", k=5), timeout=TIMEOUT_S)
            name = DegradationLevel.Name(reply.freshness.degradation_level)
            code, level = OK, name.removeprefix("DEGRADATION_LEVEL_")
            version = reply.model_version
        except grpc.RpcError as error:
            code = error.code().name
        with self._grown:
            self.answers.append(Answer(due_time, time.monotonic(), code, level, version))
            self._grown.notify_all()


def failed(answers: Sequence[Answer]) -> list[Figure]:
    """How many there were, and how many of them were no answers, by code."""
    codes = Counter(each.code for each in answers if each.code != OK)
    by_code = [Figure(code, count) for code, count in codes.items()]
    return [Figure("calls", len(answers)), Figure("failed", codes.total(), goal=0), *by_code]


def p99(answers: Sequence[Answer], *, goal: float | None = 100.0) -> Figure:
    """From when a call was due."""
    took_ms = np.array([1e3 * (each.end_time - each.due_time) for each in answers])
    return Figure("p99", percentile(took_ms, 99), "ms", goal=goal)
