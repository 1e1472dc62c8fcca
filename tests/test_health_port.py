"""The port of the probes: it says of each service what the port of the calls says, and no more."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from interplay.v1.personalization_service_pb2_grpc import PersonalizationServiceStub

from serving.processes.health import Health
from serving.processes.listening import show_health
from serving.processes.port import StartError, hold
from serving.settings import ServingSettings
from tests.redis_server import free_port
from tests.running import Running, asked

SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING
PERSONALIZATION = "interplay.v1.PersonalizationService"


def probes(port: int) -> grpc.Channel:
    """To a port of this machine."""
    return grpc.insecure_channel(f"127.0.0.1:{port}")


def status(channel: grpc.Channel, service: str = "") -> int:
    """What grpc.health.v1 says of a service."""
    return int(HealthStub(channel).Check(HealthCheckRequest(service=service), timeout=30).status)


def test_probes_hear_what_callers_hear_and_can_do_nothing_else(home: Path) -> None:
    with Running(home, health_port=(port := free_port())) as server, probes(port) as channel:
        assert status(channel) == SERVING
        assert status(channel, PERSONALIZATION) == SERVING == status(server.channel)
        with pytest.raises(grpc.RpcError) as unknown:
            status(channel, "weather")
        assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
        with pytest.raises(grpc.RpcError) as refused:
            PersonalizationServiceStub(channel).DecideInteraction(asked(), timeout=30)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_without_a_model_the_server_is_healthy_and_decisions_are_not(tmp_path: Path) -> None:
    with Running(tmp_path, health_port=(port := free_port())), probes(port) as channel:
        assert status(channel) == SERVING
        assert status(channel, PERSONALIZATION) == NOT_SERVING


def test_probes_hear_of_the_end_and_do_not_wait_for_it(home: Path) -> None:
    port = free_port()
    with Running(home, health_port=port, grace_s=3600.0) as server, probes(port) as channel:
        watch = HealthStub(channel).Watch(HealthCheckRequest(service=""))
        assert next(watch).status == SERVING
        server.shut_down()
        assert [each.status for each in watch] == [NOT_SERVING]


def test_a_flood_of_calls_does_not_reach_the_probes(home: Path) -> None:
    port, frozen, thawed, refused = free_port(), Event(), Event(), Event()

    async def freeze() -> None:
        frozen.set()
        thawed.wait()

    def note(call: grpc.Future) -> None:
        if call.code() is grpc.StatusCode.CANCELLED:
            refused.set()

    with (
        Running(home, health_port=port) as server,
        probes(port) as channel,
        ThreadPoolExecutor(1) as pool,
    ):
        assert status(server.channel) == status(channel) == SERVING  # both are connected
        freezing = pool.submit(server.run, freeze())
        frozen.wait()
        for _ in range(300):
            decide = server.personalization.DecideInteraction
            decide.future(asked(), timeout=60).add_done_callback(note)
        probe = HealthStub(channel).Check.future(HealthCheckRequest(), timeout=60)
        refused.wait()
        assert not probe.done()
        thawed.set()
        freezing.result()
        assert probe.result().status == SERVING


def test_a_port_of_the_probes_that_is_taken_is_named() -> None:
    with hold("127.0.0.1", 0) as holder:
        holder.listen()
        port = holder.getsockname()[1]
        showing = show_health(ServingSettings(health_port=port), Health())
        with pytest.raises(StartError, match=rf"127.0.0.1:{port}\. Try another --health-port"):
            asyncio.run(showing)


def test_an_end_that_comes_while_a_watcher_is_told_something_is_told_as_well() -> None:
    health, told = Health(), []
    health.set("", serving=True)

    class Watcher:
        async def write(self, response: HealthCheckResponse) -> None:
            told.append(response.status)
            health.end()

    asyncio.run(health.Watch(HealthCheckRequest(service=""), Watcher()))  # type: ignore[arg-type]
    assert told == [SERVING, NOT_SERVING]
