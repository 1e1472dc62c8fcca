"""Requests nobody should send: random bytes, and messages made of whatever fields may hold."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import grpc
import numpy as np
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from benchmarks.composed import Server, started
from benchmarks.fault.messages import messages
from benchmarks.fault.scene import Scene
from benchmarks.fault.trial import Fault, Seen, none_of
from benchmarks.load import Load, run
from benchmarks.report import Figure
from serving.service import SERVICES

RANDOM, MADE = 100_000, 10_000
LONGEST = 300  # bytes
SAMPLES = 200  # well-formed requests of each method, to be spoilt
AT_ONCE = 32
TIMEOUT_S = 10.0
DOCUMENTED = {
    *("OK", "INVALID_ARGUMENT", "FAILED_PRECONDITION", "NOT_FOUND", "RESOURCE_EXHAUSTED"),
    *("DEADLINE_EXCEEDED", "CANCELLED", "UNAVAILABLE"),
}
INTERNALS = re.compile(
    r"Traceback|\.py\b|site-packages|object at 0x|\b(serving|features|training)\.\w+|"
    r"(?<!\w)/(home|root|usr|tmp|work|var)/|\b\w+(Error|Exception)\b|sqlite|SELECT |redis://|nats://"
)
"""What the text of an error must not hold."""


def faults() -> list[Fault]:
    """Of requests."""
    promise = "only documented codes, never INTERNAL or UNKNOWN; no internals told; no crash"
    return [
        Fault(
            "random-requests",
            "100,000 calls of random bytes, and of requests with bytes changed, to every method",
            promise,
            _random,
        ),
        Fault(
            "made-requests",
            "10,000 well-formed requests with whatever values, made by hypothesis, to every method",
            promise,
            _made,
        ),
    ]


def methods() -> list[MethodDescriptor]:
    """All of the API."""
    return [each for service in SERVICES for each in service.methods]


def path_of(method: MethodDescriptor) -> str:
    """As gRPC calls it."""
    return f"/{method.containing_service.full_name}/{method.name}"


def _random(scene: Scene) -> Seen:
    unary = [each for each in methods() if not (each.client_streaming or each.server_streaming)]
    share, codes = scene.times(RANDOM) // len(unary), Counter[str]()
    with scene.home() as home, started(home) as server:
        for number, method in enumerate(unary):
            load = Load(
                target=server.address,
                method=path_of(method),
                requests=spoilt(method, share, seed=number),
                callers=AT_ONCE,
                calls=share,
                warmup_s=0.0,
                deadline_ms=1e3 * TIMEOUT_S,
            )
            codes.update(run(load).counts())
        return Seen(_verdict(codes, server))


def spoilt(method: MethodDescriptor, count: int, *, seed: int) -> list[bytes]:
    """Half of them random bytes, half requests of which some bytes were changed or cut off."""
    rng = np.random.default_rng(seed)
    whole = [each.SerializeToString() for each in examples(method, SAMPLES)]
    requests = [rng.bytes(int(rng.integers(LONGEST))) for _ in range(count // 2)]
    while len(requests) < count:
        content = np.frombuffer(whole[len(requests) % len(whole)] or b"\0", np.uint8).copy()
        places = rng.integers(len(content), size=rng.integers(1, 4))
        content[places] = rng.integers(256, size=len(places))
        requests.append(content[: int(rng.integers(1, len(content) + 1))].tobytes())
    return requests


def examples(method: MethodDescriptor, count: int) -> list[Any]:
    """Well-formed requests of a method."""
    found: list[Any] = []

    @_often(count)
    @given(messages(GetMessageClass(method.input_type)))
    def collect(request: Any) -> None:
        found.append(request)

    collect()
    return found


def _often(count: int) -> settings:
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=quiet,
    )


def _made(scene: Scene) -> Seen:
    every, codes, told = methods(), Counter[str](), Counter[str]()
    share = scene.times(MADE) // len(every)
    with scene.home() as home, started(home) as server:
        with grpc.insecure_channel(server.address) as channel:
            for method in every:
                _call_all(channel, method, share, codes, told)
        leaks = {text for text in told if INTERNALS.search(text)}
        for text in sorted(leaks):
            print(f"    told: {text[:200]}")
        figures = _verdict(codes, server)
        return Seen([*figures, none_of("errors that tell of internals", len(leaks))])


def _call_all(
    channel: grpc.Channel,
    method: MethodDescriptor,
    count: int,
    codes: Counter[str],
    told: Counter[str],
) -> None:
    request_type = GetMessageClass(method.input_type)
    one = messages(request_type)

    @_often(count)
    @given(st.lists(one, min_size=1, max_size=3) if method.client_streaming else one)
    def call(request: Any) -> None:
        code, text = _called(channel, method, request)
        codes[code] += 1
        told[text] += 1

    call()


def _called(channel: grpc.Channel, method: MethodDescriptor, request: Any) -> tuple[str, str]:
    """How a call ended, and what was told of it."""
    path, encode = path_of(method), GetMessageClass(method.input_type).SerializeToString
    try:
        if method.client_streaming:
            replies = channel.stream_stream(path, encode)(iter(request), timeout=TIMEOUT_S)
            list(replies)
        elif method.server_streaming:
            list(channel.unary_stream(path, encode)(request, timeout=TIMEOUT_S))
        else:
            channel.unary_unary(path, encode)(request, timeout=TIMEOUT_S)
    except grpc.RpcError as error:
        return error.code().name, f"{error.details()}"
    return "OK", ""


def _verdict(codes: Counter[str], server: Server) -> Sequence[Figure]:
    """And whether it still lives: it is the same process, and answers."""
    with grpc.insecure_channel(server.address) as channel:
        grpc.channel_ready_future(channel).result(TIMEOUT_S)
    broken = codes["INTERNAL"] + codes["UNKNOWN"]
    undocumented = sum(count for code, count in codes.items() if code not in DOCUMENTED)
    return [
        Figure("calls", codes.total()),
        *(Figure(code, count) for code, count in codes.most_common()),
        none_of("INTERNAL or UNKNOWN", broken),
        none_of("undocumented", undocumented),
        none_of("crashes", int(not server.process.is_running())),
    ]
