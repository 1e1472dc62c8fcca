"""The API as it is written: it compiles, every part is documented, names follow one rule."""

import importlib.resources
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2
from grpc_tools import protoc

PROTO = Path(__file__).parent.parent / "proto"
TIMESTAMP = ".google.protobuf.Timestamp"

# Field numbers in descriptor.proto, of which SourceCodeInfo makes its paths.
FILE_MESSAGE, FILE_ENUM, FILE_SERVICE = 4, 5, 6
MESSAGE_FIELD, MESSAGE_NESTED, MESSAGE_ENUM, MESSAGE_ONEOF = 2, 3, 4, 8
ENUM_VALUE, SERVICE_METHOD = 2, 2


@dataclass(frozen=True)
class Part:
    """Something of the API that has a name and needs a comment before it."""

    kind: str
    name: str
    descriptor: Any
    commented: bool


@pytest.fixture(scope="module")
def files(
    tmp_path_factory: pytest.TempPathFactory,
) -> list[descriptor_pb2.FileDescriptorProto]:
    out = tmp_path_factory.mktemp("stubs")
    well_known = importlib.resources.files("grpc_tools") / "_proto"
    sources = [str(path.relative_to(PROTO)) for path in PROTO.glob("interplay/v1/*.proto")]
    outputs = [f"--{kind}_out={out}" for kind in ("python", "pyi", "grpc_python")]
    described = [f"--descriptor_set_out={out}/all.pb", "--include_source_info"]
    arguments = ["protoc", f"-I{PROTO}", f"-I{well_known}", *outputs, *described, *sources]
    assert protoc.main(arguments) == 0
    stubs = {path.name for path in (out / "interplay" / "v1").iterdir()}
    for source in sources:
        stem = Path(source).stem
        assert {f"{stem}_pb2.py", f"{stem}_pb2.pyi", f"{stem}_pb2_grpc.py"} <= stubs
    return list(descriptor_pb2.FileDescriptorSet.FromString((out / "all.pb").read_bytes()).file)


@pytest.fixture(scope="module")
def parts(files: list[descriptor_pb2.FileDescriptorProto]) -> list[Part]:
    return [part for file in files for part in _parts_of_file(file)]


def _parts_of_file(file: descriptor_pb2.FileDescriptorProto) -> Iterator[Part]:
    locations = file.source_code_info.location
    commented = {tuple(each.path) for each in locations if each.leading_comments.strip()}
    for number, message in enumerate(file.message_type):
        yield from _parts_of_message(message, (FILE_MESSAGE, number), commented)
    for number, enum in enumerate(file.enum_type):
        yield from _parts_of_enum(enum, (FILE_ENUM, number), commented)
    for number, service in enumerate(file.service):
        path = (FILE_SERVICE, number)
        yield Part("service", service.name, service, path in commented)
        for index, method in enumerate(service.method):
            at = (*path, SERVICE_METHOD, index)
            yield Part("rpc", f"{service.name}.{method.name}", method, at in commented)


def _parts_of_message(message: Any, path: tuple[int, ...], commented: set[Any]) -> Iterator[Part]:
    if message.options.map_entry:  # protoc makes these of map fields
        return
    yield Part("message", message.name, message, path in commented)
    for kind, members, number in (
        ("field", message.field, MESSAGE_FIELD),
        ("oneof", [each for each in message.oneof_decl if each.name[0] != "_"], MESSAGE_ONEOF),
    ):
        for index, member in enumerate(members):
            at = (*path, number, index)
            yield Part(kind, f"{message.name}.{member.name}", member, at in commented)
    for index, nested in enumerate(message.nested_type):
        yield from _parts_of_message(nested, (*path, MESSAGE_NESTED, index), commented)
    for index, enum in enumerate(message.enum_type):
        yield from _parts_of_enum(enum, (*path, MESSAGE_ENUM, index), commented)


def _parts_of_enum(enum: Any, path: tuple[int, ...], commented: set[Any]) -> Iterator[Part]:
    yield Part("enum", enum.name, enum, path in commented)
    for index, value in enumerate(enum.value):
        at = (*path, ENUM_VALUE, index)
        yield Part("value", f"{enum.name}.{value.name}", value, at in commented)


def test_the_methods_of_the_four_services_are_there(parts: list[Part]) -> None:
    assert {part.name for part in parts if part.kind == "rpc"} >= {
        "CatalogService.DeleteItems",
        "CatalogService.GetItem",
        "CatalogService.UpsertItems",
        "CustomerService.GetCustomer",
        "ModelService.GetModel",
        "ModelService.ListModels",
        "PersonalizationService.DecideInteraction",
        "PersonalizationService.RecordInteractions",
    }


def test_everything_is_documented(parts: list[Part]) -> None:
    kinds = {"service", "rpc", "message", "field", "enum", "value"}
    assert {part.kind for part in parts} >= kinds
    assert [f"{part.kind} {part.name}" for part in parts if not part.commented] == []


def test_every_file_is_of_the_one_package(files: list[descriptor_pb2.FileDescriptorProto]) -> None:
    assert {file.package for file in files} == {"interplay.v1"}


def test_a_method_has_a_request_and_a_response_of_its_own(parts: list[Part]) -> None:
    for method in (part.descriptor for part in parts if part.kind == "rpc"):
        verb_and_noun = re.fullmatch(r"([A-Z][a-z]+){2,}", method.name)
        assert verb_and_noun or method.name == "Converse", f"{method.name}: verb + noun"
        assert method.input_type == f".interplay.v1.{method.name}Request"
        assert method.output_type == f".interplay.v1.{method.name}Response"


def test_names_of_services_messages_and_fields_follow_the_style(parts: list[Part]) -> None:
    for part in parts:
        last = part.name.rpartition(".")[2]
        if part.kind == "service":
            assert last.endswith("Service")
        if part.kind in ("service", "message", "enum"):
            assert re.fullmatch(r"([A-Z][a-z0-9]*)+", last), part.name
        if part.kind in ("field", "oneof"):
            assert re.fullmatch(r"[a-z]+(_[a-z0-9]+)*", last), part.name


def test_enum_values_carry_the_name_of_their_enum_and_zero_means_unspecified(
    parts: list[Part],
) -> None:
    for enum in (part.descriptor for part in parts if part.kind == "enum"):
        prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum.name).upper() + "_"
        assert (enum.value[0].name, enum.value[0].number) == (f"{prefix}UNSPECIFIED", 0)
        assert [each.name for each in enum.value if not each.name.startswith(prefix)] == []


def test_points_in_time_and_only_they_end_in_time(parts: list[Part]) -> None:
    for part in (part for part in parts if part.kind == "field"):
        is_time = part.descriptor.type_name == TIMESTAMP
        assert is_time == part.name.endswith("_time"), part.name


def test_buf_finds_nothing_to_say() -> None:
    command = _buf()
    if command is None:
        pytest.skip("buf is not installed (npm install @bufbuild/buf, or see buf.build)")
    run = subprocess.run([*command, "lint"], cwd=PROTO, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, ""), run.stdout + run.stderr


def _buf() -> list[str] | None:
    """How buf is called here; nothing is downloaded."""
    if shutil.which("buf"):
        return ["buf"]
    npx = ["npx", "--no-install", "--offline", "buf"]
    if shutil.which("npx"):
        found = subprocess.run([*npx, "--version"], cwd=PROTO, capture_output=True)
        return npx if found.returncode == 0 else None
    return None
