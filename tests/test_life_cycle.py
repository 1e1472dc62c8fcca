"""The life of a server as its clients see it: early callers, old connections, the end."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from interplay.v1.personalization_service_pb2 import RecordInteractionsRequest
from interplay.v1.personalization_service_pb2_grpc import PersonalizationServiceStub

from serving.processes.port import hold
from serving.settings import ServingSettings
from tests.running import Running, asked, viewed

RETRY = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.05s",
                "maxBackoff": "0.5s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
}


def free_port() -> int:
    with hold("127.0.0.1", 0) as holder:
        return int(holder.getsockname()[1])


def test_a_held_port_refuses_who_comes_early() -> None:
    with hold("127.0.0.1", 0) as holder:
        address = holder.getsockname()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        channel = grpc.insecure_channel(f"{address[0]}:{address[1]}")
        with channel, pytest.raises(grpc.RpcError) as refused:
            PersonalizationServiceStub(channel).DecideInteraction(asked(), timeout=10)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def test_who_waits_for_a_server_that_starts_is_answered(home: Path) -> None:
    port = free_port()
    often = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 100)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", often) as channel:
        decide = PersonalizationServiceStub(channel).DecideInteraction
        early = decide.future(asked(), wait_for_ready=True, timeout=30)
        with Running(home, port=port):
            assert early.result().model_version == "1"


def test_a_connection_that_is_replaced_costs_no_call(home: Path) -> None:
    states: list[grpc.ChannelConnectivity] = []
    thrice = Event()

    def note(state: grpc.ChannelConnectivity) -> None:
        states.append(state)
        if states.count(grpc.ChannelConnectivity.READY) == 3:
            thrice.set()

    with Running(home, connection_age_s=0.2) as server:
        server.channel.subscribe(note, try_to_connect=True)
        versions = set()
        while not thrice.is_set():
            versions.add(server.personalization.DecideInteraction(asked()).model_version)
    assert versions == {"1"}


def test_the_end_tells_who_watches_and_does_not_wait_for_them(home: Path) -> None:
    with Running(home, grace_s=3600.0) as server:
        watch = HealthStub(server.channel).Watch(HealthCheckRequest(service=""))
        unknown = HealthStub(server.channel).Watch(HealthCheckRequest(service="weather"))
        assert next(watch).status == HealthCheckResponse.SERVING
        assert next(unknown).status == HealthCheckResponse.SERVICE_UNKNOWN
        server.shut_down()
        assert [each.status for each in watch] == [HealthCheckResponse.NOT_SERVING]


def test_calls_in_flight_finish_and_new_ones_go_elsewhere(home: Path) -> None:
    with ExitStack() as stack:
        first, second = (stack.enter_context(Running(home)) for _ in range(2))
        ports = (first.server.port, second.server.port)
        target = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)
        options = [("grpc.service_config", json.dumps(RETRY))]
        channel = stack.enter_context(grpc.insecure_channel(target, options))
        stub = PersonalizationServiceStub(channel)
        ended = Event()

        def call(number: int) -> set[str]:
            versions = set()
            while not ended.is_set():
                along = [viewed("", "eggs")]
                question = asked(customer_id=f"customer-{number}", interactions=along)
                reply = stub.DecideInteraction(question)
                versions.add(reply.model_version)
            return versions

        with ThreadPoolExecutor(4) as callers:
            calling = [callers.submit(call, number) for number in range(4)]
            try:
                for _ in range(20):
                    stub.RecordInteractions(record_one())
                first.shut_down()
                for _ in range(20):
                    stub.RecordInteractions(record_one())
            finally:
                ended.set()
            assert [each.result() for each in calling] == [{"1"}] * 4


def record_one() -> RecordInteractionsRequest:
    return RecordInteractionsRequest(interactions=[viewed("ada", "flour")])


def test_an_age_must_be_one() -> None:
    with pytest.raises(ValueError, match="connection_age_s is 0: must be at least"):
        ServingSettings(connection_age_s=0)
