"""Calls: who may make them, and how each went, for the metrics and, where on, the traces."""

import time
from types import TracebackType

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from serving.access.callers import Caller
from serving.access.guard import Guard
from serving.access.refusals import Refusals
from serving.metrics import Metrics
from serving.tracing import Tracing


class Calls:
    """Watches all calls of a server."""

    def __init__(
        self, metrics: Metrics, tracing: Tracing | None = None, guard: Guard | None = None
    ) -> None:
        """Reports to these. Without a guard, anybody may call."""
        self.metrics = metrics
        self.tracing = tracing
        self.guard = guard or Guard(Refusals(metrics.refused))

    def begin(self, declared: MethodDescriptor, context: grpc.aio.ServicerContext) -> "Call":
        """A call has arrived; to be used in a `with`, whose end is the call's."""
        return Call(self, declared, context)


class Call:
    """One call, until it has ended."""

    __slots__ = ("_calls", "_method", "_span", "_started_s", "caller", "channel", "code", "request")

    def __init__(
        self, calls: Calls, declared: MethodDescriptor, context: grpc.aio.ServicerContext
    ) -> None:
        """Starts its clock, and its span."""
        self.channel = ""
        self.caller: Caller | None = None  # once it is known
        self.request: Message | None = None  # the latest
        self.code = grpc.StatusCode.CANCELLED  # unless it ends otherwise
        self._calls = calls
        self._method: str = declared.name
        self._started_s = time.perf_counter()
        self._span = None
        if calls.tracing is not None:
            service, metadata = declared.containing_service, context.invocation_metadata()
            name = f"{service.full_name}/{declared.name}"
            self._span = calls.tracing.begin(name, metadata or ())

    def __enter__(self) -> "Call":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        code, took_s = self.code.name, time.perf_counter() - self._started_s
        self._calls.metrics.called(self._method, self.channel, code, took_s)
        if self._span is not None:
            if self.channel:
                self._span.tag({"channel": self.channel})
            if self.caller is not None and self.caller.name:
                self._span.tag({"caller": self.caller.name})
            self._span.end(code)
