"""The load generator: calls one method over real sockets, from processes of its own.

Closed loop (`callers`): so many callers, each waits for its answer before it calls again.
Open loop (`rate`): when each call is due is fixed beforehand, whatever the server does. Latency
counts from the time a call was *due*: a server that stands still makes every call late that was
due meanwhile, and each of them is counted. (Counting from the time of sending would leave them
out: the "coordinated omission" of Gil Tene's "How NOT to measure latency" and of wrk2.)

    result = run(Load(target="localhost:50051", method="/package.Service/Method",
                      requests=[request.SerializeToString()], rate=500, seconds=10))
"""

import pickle
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import grpc
import numpy as np

CALL = np.dtype([("due_time", "f8"), ("sent_time", "f8"), ("end_time", "f8"), ("code", "i1")])
"""One call: time.monotonic() of this machine, in seconds, and the gRPC status code."""

OK: int = grpc.StatusCode.OK.value[0]
NAMES = {code.value[0]: code.name for code in grpc.StatusCode}
START_MARGIN_S = 0.2  # from the last process's "ready" to the first call
ENDED = "a process of the load generator ended early: see its message"


class LoadError(RuntimeError):
    """The load could not be driven; nothing was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Which calls to make: either `callers` or `rate`, for either `seconds` or `calls`."""

    target: str  # such as localhost:50051; http://localhost:8000 for HTTP
    method: str  # such as /interplay.v1.PersonalizationService/DecideInteraction
    requests: Sequence[bytes] | str
    """Serialised requests, sent round and round; or "module:function" for requests that must all
    differ: each process calls it with its number (0, 1, ...) and gets an endless iterable."""
    callers: int | None = None  # closed loop: how many, over all processes
    rate: float | None = None  # open loop: calls a second, over all processes
    arrivals: Literal["poisson", "constant"] = "poisson"
    seconds: float | None = None
    calls: int | None = None  # closed loop only
    warmup_s: float = 1.0  # called likewise before that, not counted
    deadline_ms: float = 1000.0  # of each call, from when it is sent
    processes: int = 1
    connections: int = 1  # gRPC: of each process, used in turn
    seed: int = 0  # of the Poisson arrivals
    exact: bool = True  # else up to 1 ms late, and no core is kept busy with looking at the clock

    def __post_init__(self) -> None:
        numbers = ("callers", "rate", "seconds", "calls", "deadline_ms", "processes")
        for name in (*numbers, "connections"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name}={value}: must be more than 0")
        if (self.callers is None) == (self.rate is None):
            raise ValueError(f"callers={self.callers}, rate={self.rate}: give one of the two")
        if (self.seconds is None) == (self.calls is None):
            raise ValueError(f"seconds={self.seconds}, calls={self.calls}: give one of the two")
        if self.rate is not None and self.seconds is None:
            raise ValueError("an open loop lasts for seconds, not for calls")
        if self.callers is not None and self.callers < self.processes:
            raise ValueError(f"{self.callers} callers are too few for {self.processes} processes")
        if not self.requests:
            raise ValueError("there is no request to send")


@dataclass(frozen=True, slots=True)
class LoadResult:
    """Every counted call, in the order in which they were due."""

    load: Load
    calls: np.ndarray  # of CALL
    begin_time: float  # where the warm-up ended
    achieved_rate: float  # answers (status OK) a second

    def latencies_ms(self, *, code: int | None = None) -> np.ndarray:
        """From due to answered: of all calls, or of those that ended with one status code."""
        calls = self.calls if code is None else self.calls[self.calls["code"] == code]
        return (calls["end_time"] - calls["due_time"]) * 1e3

    def lags_ms(self) -> np.ndarray:
        """From due to sent: by how much the generator was late itself. Part of the latency."""
        return (self.calls["sent_time"] - self.calls["due_time"]) * 1e3

    def counts(self) -> dict[str, int]:
        """How many calls ended with which status code."""
        codes, counts = np.unique(self.calls["code"], return_counts=True)
        return {
            NAMES[code]: count for code, count in zip(codes.tolist(), counts.tolist(), strict=True)
        }

    def summary(self) -> dict[str, float]:
        """The figures of a results file. Latencies are those of all calls, refused ones too."""
        latencies, lags = self.latencies_ms(), self.lags_ms()
        return {
            "calls": len(self.calls),
            "achieved_rate": self.achieved_rate,
            **{f"count_{name}": count for name, count in self.counts().items()},
            **{f"p{q:g}_ms": percentile(latencies, q) for q in (50, 90, 99, 99.9)},
            "max_ms": percentile(latencies, 100),
            **{f"lag_p{q:g}_ms": percentile(lags, q) for q in (50, 99)},
            "lag_max_ms": percentile(lags, 100),
        }


def percentile(samples: np.ndarray, q: float) -> float:
    """The smallest sample that at least q % of the samples do not exceed; NaN of none."""
    if len(samples) == 0:
        return float("nan")
    return float(np.percentile(samples, q, method="inverted_cdf"))


def arrivals(load: Load, process: int) -> np.ndarray:
    """When the open-loop calls of one process are due, in seconds from its start, warm-up first."""
    assert load.rate is not None and load.seconds is not None
    whole_s = load.warmup_s + load.seconds
    if load.arrivals == "constant":
        numbers = np.arange(process, np.ceil(whole_s * load.rate), load.processes)
        return numbers / load.rate
    # A Poisson process: given their number, arrivals lie uniformly. Processes add up to one.
    random = np.random.default_rng([load.seed, process])
    number = random.poisson(load.rate * whole_s / load.processes)
    return np.sort(random.uniform(0.0, whole_s, number))


def run(load: Load) -> LoadResult:
    """Makes the calls; returns when the last of them has ended."""
    command = [sys.executable, "-m", "benchmarks.callers"]
    pipe = subprocess.PIPE
    children: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(load.processes):
            children.append(subprocess.Popen(command, stdin=pipe, stdout=pipe))
        for process, child in enumerate(children):
            _tell(child, (load, process))
        for child in children:
            _hear(child)  # it is connected
        start_time = time.monotonic() + START_MARGIN_S
        for child in children:
            _tell(child, start_time)
        return _result(load, np.concatenate([_hear(child) for child in children]), start_time)
    finally:
        for child in children:
            child.kill()
            child.communicate()


def _tell(child: subprocess.Popen[bytes], message: object) -> None:
    assert child.stdin is not None
    try:
        pickle.dump(message, child.stdin)
        child.stdin.flush()
    except BrokenPipeError:
        raise LoadError(ENDED) from None


def _hear(child: subprocess.Popen[bytes]) -> np.ndarray:
    assert child.stdout is not None
    try:
        calls: np.ndarray = pickle.load(child.stdout)
        return calls
    except EOFError:
        raise LoadError(ENDED) from None


def _result(load: Load, calls: np.ndarray, start_time: float) -> LoadResult:
    begin_time = start_time + load.warmup_s
    counted = np.sort(calls[calls["due_time"] >= begin_time], order="due_time")
    if load.seconds is not None:
        until_time = begin_time + load.seconds
    else:
        until_time = float(counted["end_time"].max(initial=begin_time))
    # By the time of the answer: calls under way at begin_time make up for those at until_time.
    answered = calls[(calls["end_time"] > begin_time) & (calls["end_time"] <= until_time)]
    ok_count = int((answered["code"] == OK).sum())
    return LoadResult(load, counted, begin_time, ok_count / (until_time - begin_time))
