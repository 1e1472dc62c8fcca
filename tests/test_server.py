"""The server: health, reflection, deadlines, faults, and its life as a process of its own."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from interplay.v1.catalog_service_pb2 import (
    GetItemRequest,
)
from interplay.v1.customer_service_pb2 import GetCustomerRequest
from interplay.v1.personalization_service_pb2 import (
    DEGRADATION_LEVEL_WITHOUT_FEATURES,
    RecordInteractionsRequest,
)
from interplay.v1.personalization_service_pb2_grpc import PersonalizationServiceStub

from features.settings import Home
from serving.server import Server, StartError
from tests.artefacts import publish, write_artefact
from tests.running import Running, add_items, asked, decide, offered, record, viewed


def health(running: Running, service: str) -> int:
    status: int = HealthStub(running.channel).Check(HealthCheckRequest(service=service)).status
    return status


@pytest.mark.parametrize("service", ["", "PersonalizationService", "ModelService"])
def test_health_is_serving(running: Running, service: str) -> None:
    name = f"interplay.v1.{service}" if service else ""
    assert health(running, name) == HealthCheckResponse.SERVING


def test_reflection_lists_the_services(running: Running) -> None:
    found = ProtoReflectionDescriptorDatabase(running.channel).get_services()
    assert {
        "interplay.v1.CatalogService",
        "interplay.v1.CustomerService",
        "interplay.v1.ModelService",
        "interplay.v1.PersonalizationService",
        "grpc.health.v1.Health",
    } <= set(found)


def test_a_client_deadline_holds(running: Running, home: Path, customer: str) -> None:
    with locked(home), pytest.raises(grpc.RpcError) as late:
        request = RecordInteractionsRequest(interactions=[viewed(customer, "eggs")])
        running.personalization.RecordInteractions(request, timeout=0.1)
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_deadline_hint_holds(running: Running, home: Path, customer: str) -> None:
    hint = Duration(nanos=50_000_000)
    with locked(home), pytest.raises(grpc.RpcError) as late:
        decide(running, customer, deadline_hint=hint, interactions=[viewed(customer, "eggs")])
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert late.value.details() == "the answer would have come after the deadline"


class locked:  # noqa: N801  reads as a statement
    """Keeps the server from writing its log, as another writer would."""

    def __init__(self, home: Path) -> None:
        self._path = Home(home).log

    def __enter__(self) -> None:
        self._database = sqlite3.connect(self._path, isolation_level=None)
        self._database.execute("BEGIN IMMEDIATE")

    def __exit__(self, *error: object) -> None:
        self._database.execute("ROLLBACK")
        self._database.close()


def test_a_full_queue_refuses_with_a_time_to_retry(tmp_path: Path) -> None:
    with Running(tmp_path, max_batch=1, max_queue=1) as running:
        assert health(running, "interplay.v1.PersonalizationService") == (
            HealthCheckResponse.NOT_SERVING
        )
        assert record(running, viewed("ada", "eggs")) == (1, 0)  # there is a log now
        with ThreadPoolExecutor(3) as callers:
            with locked(tmp_path):
                # One call waits for the lock, one in the queue, and one is one too many.
                calls = [callers.submit(record, running, viewed("ada", "eggs")) for _ in range(3)]
                (refused,), waiting = wait(calls, return_when=FIRST_COMPLETED)
                error = refused.exception()
                assert isinstance(error, grpc.RpcError)
                assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                assert int(dict(error.trailing_metadata())["grpc-retry-pushback-ms"]) >= 1
            assert [each.result() for each in waiting] == [(1, 0), (1, 0)]


def test_lost_features_and_a_lost_log_are_told_apart(tmp_path: Path) -> None:
    home = tmp_path / "home"
    add_items(home)
    publish(Home(home), write_artefact(tmp_path / "artefact"))
    with Running(home) as running:
        record(running, viewed("ada", "eggs"))
        drop_tables(Home(home).online)
        reply = decide(running, "ada", k=1, interactions=[viewed("ada", "dates")])
        assert offered(reply) == ["dates"]
        assert reply.freshness.degradation_level == DEGRADATION_LEVEL_WITHOUT_FEATURES
        assert reply.freshness.interactions_seen == 1
        with pytest.raises(grpc.RpcError) as unreadable:
            running.customers.GetCustomer(GetCustomerRequest(customer_id="ada"))
        assert unreadable.value.code() is grpc.StatusCode.UNAVAILABLE
        request = RecordInteractionsRequest(interactions=[viewed("ada", "eggs")])
        reply = running.personalization.RecordInteractions(request)
        assert (reply.accepted_count, reply.pending) == (1, True)

        drop_tables(Home(home).log)
        with pytest.raises(grpc.RpcError) as lost:
            record(running, viewed("ada", "eggs"))
        assert lost.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "nothing was kept" in lost.value.details()
        with pytest.raises(grpc.RpcError) as unreadable:
            running.catalog.GetItem(GetItemRequest(item_id="eggs"))
        assert unreadable.value.code() is grpc.StatusCode.UNAVAILABLE


def drop_tables(path: Path) -> None:
    with sqlite3.connect(path) as database:
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        for (name,) in database.execute(query).fetchall():
            database.execute(f'DROP TABLE "{name}"')
    database.close()


def test_the_program_serves_what_was_recorded_until_told_to_stop(
    running: Running, home: Path, customer: str
) -> None:
    record(running, viewed(customer, "flour"))
    command = [sys.executable, "-m", "serving", "--home", str(home), "--port", "0"]
    command += ["--assumed-consent", "personalization"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            with grpc.insecure_channel(line.split()[2].rstrip(":")) as channel:
                stub = PersonalizationServiceStub(channel)
                along = asked(customer_id=customer, interactions=[viewed("", "flour")])
                reply = stub.DecideInteraction(along)
        finally:
            process.send_signal(signal.SIGTERM)
    assert process.returncode == 0
    assert line.endswith("model 1 of interplay on CPUExecutionProvider\n")
    assert reply.freshness.interactions_seen == 2
    assert decide(running, customer).freshness.interactions_seen == 2


def test_a_taken_port_is_told(running: Running) -> None:
    settings = replace(running.settings, port=running.server.port)
    with pytest.raises(StartError, match=f"cannot listen on 127.0.0.1:{settings.port}"):
        asyncio.run(Server(settings).startup())
