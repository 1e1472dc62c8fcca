"""Rights: every method takes one, and a role has no other than its own."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from serving.access.channels import channels_in
from serving.access.guard import Guard
from serving.access.reflection import METHOD
from serving.access.refusals import Refusals
from serving.access.rights import METHODS, OPEN, Right
from serving.service import SERVICES
from tests.access import ROLES, Metadata, keys_of_roles, refused, with_key
from tests.running import Running

MAY = {
    "frontend": {
        *("DecideInteraction", "RecordInteractions", "Converse", "SetPreferences", "GetItem")
    },
    "customer-care": {
        *("GetCustomer", "ExportCustomer", "EraseCustomer", "SetPreferences", "ExplainDecision")
    },
    "catalog": {"GetItem", "UpsertItems", "DeleteItems"},
    "operator": {"GetItem", "GetModel", "ListModels"},
}
HEALTH = {"grpc.health.v1.Health/Check", "grpc.health.v1.Health/Watch"}


@pytest.fixture(scope="module")
def running(
    home: Path, tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[tuple[Running, dict[str, str]]]":
    path = tmp_path_factory.mktemp("access") / "access.yaml"
    keys = keys_of_roles(path)
    with Running(home, access=str(path)) as server:
        yield server, keys


def empty_call(server: Running, service: str, method: str, metadata: Metadata) -> str:
    """How a call with an empty request ends."""
    declared = next(each for each in SERVICES if each.full_name == service)
    found = declared.methods_by_name[method]
    path, channel = f"/{service}/{method}", server.channel
    try:
        if found.client_streaming:
            list(channel.stream_stream(path)(iter([b""]), metadata=metadata, timeout=10))
        elif found.server_streaming:
            list(channel.unary_stream(path)(b"", metadata=metadata, timeout=10))
        else:
            channel.unary_unary(path)(b"", metadata=metadata, timeout=10)
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def test_every_method_of_the_api_takes_exactly_one_right() -> None:
    ours = {f"{each.full_name}/{method.name}" for each in SERVICES for method in each.methods}
    assert set(METHODS) == ours | HEALTH | {METHOD}
    assert {name for name, right in METHODS.items() if right == OPEN} == HEALTH
    assert {right for right in METHODS.values() if right} == set(Right)


def test_a_method_that_takes_no_right_is_not_served() -> None:
    with pytest.raises(KeyError, match="DropEverything"):
        Guard(Refusals(lambda reason: None)).post("interplay.v1.AdminService/DropEverything")


def fields_named_channel(message: Descriptor, within: str = "") -> Iterator[str]:
    for field in message.fields:
        if field.name == "channel" and field.type == FieldDescriptor.TYPE_STRING:
            yield f"{within}channel"
        elif field.message_type is not None and field.message_type.file is not message.file:
            continue
        elif field.message_type is not None and field.message_type is not message:
            yield from fields_named_channel(field.message_type, f"{within}{field.name}.")


def test_wherever_a_request_has_a_channel_it_is_looked_at() -> None:
    found = {
        method.input_type.name
        for service in SERVICES
        for method in service.methods
        if channels_in(method.input_type) is not None
    }
    assert found == {
        *("DecideInteractionRequest", "RecordInteractionsRequest", "ConverseRequest"),
        "SetPreferencesRequest",
    }
    named = {
        f"{method.input_type.name}.{field}"
        for service in SERVICES
        for method in service.methods
        for field in fields_named_channel(method.input_type)
    }
    assert named == {
        *("DecideInteractionRequest.channel", "ConverseRequest.question.channel"),
        "SetPreferencesRequest.channel",
        "SetPreferencesRequest.preferences.channel",  # what is muted: nobody speaks for it
    }


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_its_own_and_nothing_else(
    running: tuple[Running, dict[str, str]], role: str
) -> None:
    server, keys = running
    allowed = {
        method.name
        for service in SERVICES
        for method in service.methods
        if empty_call(server, service.full_name, method.name, with_key(keys[role]))
        != "PERMISSION_DENIED"
    }
    assert allowed == MAY[role]


def test_nobody_may_do_anything(running: tuple[Running, dict[str, str]]) -> None:
    server, _ = running
    before = refused(server, "no-credentials")
    codes = [
        empty_call(server, service.full_name, method.name, ())
        for service in SERVICES
        for method in service.methods
    ]
    assert codes == ["UNAUTHENTICATED"] * 13
    assert refused(server, "no-credentials") == before + 13


def test_health_is_open_and_reflection_is_not(running: tuple[Running, dict[str, str]]) -> None:
    server, keys = running
    health = HealthStub(server.channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    codes = []
    for metadata in ((), with_key(keys["frontend"]), with_key(keys["operator"])):
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        reflect = ServerReflectionStub(server.channel).ServerReflectionInfo
        try:
            list(reflect(asked, metadata=metadata, timeout=10))
            codes.append("OK")
        except grpc.RpcError as error:
            codes.append(error.code().name)
    assert codes == ["UNAUTHENTICATED", "PERMISSION_DENIED", "OK"]
