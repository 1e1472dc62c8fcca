"""Tracing: one span a call with one for each of its parts, where OpenTelemetry is switched on.

It is switched on by OpenTelemetry's own variables, such as OTEL_EXPORTER_OTLP_ENDPOINT. Where it is
off, nothing of it is imported. No span says who a call is about.
"""

import time
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from functools import partial
from importlib.metadata import entry_points
from threading import Timer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

SWITCHES = (
    "OTEL_TRACES_EXPORTER",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
)
EXPORTERS = "opentelemetry_traces_exporter"  # the entry points of installed exporters
CLOSE_S = 2.0  # OpenTelemetry itself would wait for half a minute
INSTALL = "pip install 'interplay[tracing]'"
FAILURES = {"UNKNOWN", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE"}  # that are the server's

Tag = str | int | float
_call: "ContextVar[_Call | None]" = ContextVar("call", default=None)


class TracingError(RuntimeError):
    """Tracing was asked for and cannot be; the text says why."""


class Tracing:
    """Hands spans to an exporter, in batches, on a thread of its own."""

    def __init__(self, exporter: "SpanExporter", *, service_name: str = "interplay") -> None:
        """What else can be set, OpenTelemetry reads from its variables: sampling, batches."""
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        resource = Resource.create({"service.name": service_name})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._exporter = exporter
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("interplay")
        self._propagator = TraceContextTextMapPropagator()
        self._kind = SpanKind.SERVER
        self._within = set_span_in_context
        self._failed = partial(Status, StatusCode.ERROR)

    def begin(self, method: str, metadata: Iterable[tuple[str, Any]]) -> "_Call":
        """Starts the span of a call, within the caller's trace if it sent one."""
        parent = self._propagator.extract(dict(metadata))
        call = _Call(self, self._tracer.start_span(method, parent, self._kind))
        _call.set(call)
        return call

    def part(self, parent: "Span", name: str, start_ns: int, end_ns: int, tags: Any) -> None:
        """A span within another, of what has ended."""
        context = self._within(parent)
        span = self._tracer.start_span(name, context, start_time=start_ns, attributes=tags)
        span.end(end_ns)

    def end(self, span: "Span", code: str) -> None:
        """The call of this span has ended."""
        if code in FAILURES:
            span.set_status(self._failed(code))
        span.end()

    def close(self) -> None:
        """Hands over what has ended; a collector that does not answer is not waited for long."""
        patience = Timer(CLOSE_S, self._exporter.shutdown)
        patience.start()
        self._provider.shutdown()
        patience.cancel()


class _Call:
    """The call that is being answered."""

    __slots__ = ("_span", "_tracing")

    def __init__(self, tracing: Tracing, span: "Span") -> None:
        self._tracing, self._span = tracing, span

    def tag(self, tags: Mapping[str, Tag]) -> None:
        self._span.set_attributes(tags)

    def part(self, name: str, start_ns: int, end_ns: int, tags: Mapping[str, Tag]) -> None:
        self._tracing.part(self._span, name, start_ns, end_ns, tags)

    def end(self, code: str) -> None:
        """Ends its span."""
        self._tracing.end(self._span, code)


def part(name: str, start_ns: int, end_ns: int | None = None, **tags: Tag) -> None:
    """A part of the call that is being answered lasted from then (time.time_ns) until now."""
    if (call := _call.get()) is not None:
        call.part(name, start_ns, end_ns or time.time_ns(), tags)


def tag(**tags: Tag) -> None:
    """What is to be known of the call that is being answered."""
    if (call := _call.get()) is not None:
        call.tag(tags)


def tracing_of(environment: Mapping[str, str]) -> Tracing | None:
    """What OpenTelemetry's variables ask for; raises TracingError where that is not installed."""
    asked = any(environment.get(name) for name in SWITCHES)
    name = environment.get("OTEL_TRACES_EXPORTER") or "otlp"
    if not asked or name == "none" or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    service_name = environment.get("OTEL_SERVICE_NAME") or "interplay"
    return Tracing(_exporter(name, environment), service_name=service_name)


def _exporter(name: str, environment: Mapping[str, str]) -> "SpanExporter":
    """The exporter of this name; where it sends to, it reads from OpenTelemetry's variables."""
    if name == "otlp":
        general = environment.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "grpc"
        protocol = environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or general
        name = "otlp_proto_" + protocol.partition("/")[0]
    found = list(entry_points(group=EXPORTERS, name=name))
    if not found:
        raise TracingError(f"no exporter of traces named {name} is installed: {INSTALL}")
    exporter: SpanExporter = found[0].load()()
    return exporter
