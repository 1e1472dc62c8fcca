"""Traces: a call's parts, in the caller's trace, at a real collector; and none unless asked for."""

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from interplay.v1.personalization_service_pb2 import DecideInteractionRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from serving.tracing import Tracing, TracingError, tracing_of
from tests.running import Running, record, viewed

TRACE_ID, CALLER_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = ("traceparent", f"00-{TRACE_ID}-{CALLER_ID}-01")
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


class Collector(TraceServiceServicer):
    """Keeps what is exported to it, from `with` to the end of the block."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()
        self._server = grpc.server(ThreadPoolExecutor(1))
        add_TraceServiceServicer_to_server(self, self._server)
        port = self._server.add_insecure_port("127.0.0.1:0")
        self.environment = {ENDPOINT: f"http://127.0.0.1:{port}"}

    def Export(  # noqa: N802  # gRPC's name
        self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        for each in request.resource_spans:
            names = [tag.value.string_value for tag in each.resource.attributes]
            self.services |= set(names)
            self.spans.extend(span for scope in each.scope_spans for span in scope.spans)
        return ExportTraceServiceResponse()

    def __enter__(self) -> "Collector":
        self._server.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.stop(None).wait()


def tags(span: Span) -> dict[str, str | int]:
    values = {each.key: each.value for each in span.attributes}
    return {key: value.string_value or value.int_value for key, value in values.items()}


def test_a_call_is_traced_with_its_parts_in_the_callers_trace(
    home: Path, customer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Collector() as collector:
        for name, value in collector.environment.items():
            monkeypatch.setenv(name, value)
        with Running(home, tracing=tracing_of(os.environ)) as server:
            request = DecideInteractionRequest(customer_id=customer, channel="web")
            server.personalization.DecideInteraction(request, metadata=[TRACEPARENT])
    whole = next(each for each in collector.spans if each.kind == Span.SPAN_KIND_SERVER)
    assert whole.name == "interplay.v1.PersonalizationService/DecideInteraction"
    assert (whole.trace_id.hex(), whole.parent_span_id.hex()) == (TRACE_ID, CALLER_ID)
    assert tags(whole) == {"channel": "web", "model_version": "1", "degradation": "NONE"}
    parts = {each.name: each for each in collector.spans if each is not whole}
    assert sorted(parts) == ["features", "model", "queue"]
    assert {each.parent_span_id for each in parts.values()} == {whole.span_id}
    assert {each.trace_id for each in parts.values()} == {whole.trace_id}
    assert tags(parts["model"]) == {"batch_size": 1}
    times = [
        whole.start_time_unix_nano,
        parts["queue"].start_time_unix_nano,
        parts["queue"].end_time_unix_nano,
        parts["features"].start_time_unix_nano,
        parts["features"].end_time_unix_nano,
        parts["model"].start_time_unix_nano,
        parts["model"].end_time_unix_nano,
        whole.end_time_unix_nano,
    ]
    assert times == sorted(times)
    assert parts["queue"].end_time_unix_nano == parts["features"].start_time_unix_nano
    assert "interplay" in collector.services
    assert customer.encode() not in b"".join(each.SerializeToString() for each in collector.spans)


def test_calls_without_a_trace_begin_one_each(home: Path, customer: str) -> None:
    exporter = InMemorySpanExporter()
    with Running(home, tracing=Tracing(exporter)) as server:
        record(server, viewed(customer, "eggs"))
        record(server, viewed(customer, "eggs"))
        with pytest.raises(grpc.RpcError):
            record(server, viewed(customer, "eggs", type="stare"))
    spans = exporter.get_finished_spans()
    assert [each.name for each in spans] == [
        "interplay.v1.PersonalizationService/RecordInteractions"
    ] * 3
    assert len({each.context.trace_id for each in spans}) == 3
    assert [each.status.is_ok for each in spans] == [True, True, True]


def test_a_failure_of_the_server_is_marked() -> None:
    exporter = InMemorySpanExporter()
    tracing = Tracing(exporter)
    for code in ("OK", "INVALID_ARGUMENT", "INTERNAL"):
        tracing.begin("method", []).end(code)
    tracing.close()
    statuses = [each.status for each in exporter.get_finished_spans()]
    assert [each.status_code.value for each in statuses] == [
        Status.STATUS_CODE_UNSET,
        Status.STATUS_CODE_UNSET,
        Status.STATUS_CODE_ERROR,
    ]
    assert statuses[2].description == "INTERNAL"


class Deaf(InMemorySpanExporter):
    """Exports nothing until it is shut down."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.closed.wait()
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self.closed.set()


def test_a_collector_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.tracing.CLOSE_S", 0.01)
    exporter = Deaf()
    tracing = Tracing(exporter)
    tracing.begin("method", []).end("OK")
    tracing.close()
    assert exporter.closed.is_set()


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", ENDPOINT: "http://127.0.0.1:4317"},
        {"OTEL_SDK_DISABLED": "true", ENDPOINT: "http://127.0.0.1:4317"},
        {"OTEL_SERVICE_NAME": "interplay"},
    ],
)
def test_nothing_is_traced_unless_asked_for(environment: dict[str, str]) -> None:
    assert tracing_of(environment) is None


def test_an_exporter_that_is_not_installed_is_told() -> None:
    with pytest.raises(TracingError, match=r"named zipkin is installed: pip install .*tracing"):
        tracing_of({"OTEL_TRACES_EXPORTER": "zipkin"})
    environment = {ENDPOINT: "http://there:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "carrier/pigeon"}
    with pytest.raises(TracingError, match="named otlp_proto_carrier is installed"):
        tracing_of(environment)


def test_nothing_of_it_is_imported_where_it_is_off() -> None:
    program = """
import sys
from serving.calls import Calls
from serving.tracing import part, tag, tracing_of
assert tracing_of({}) is None
part("model", 0)
tag(degradation="NONE")
print(sorted(each for each in sys.modules if each.startswith("opentelemetry")))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n"
