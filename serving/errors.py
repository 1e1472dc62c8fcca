"""What a caller is told when there is no answer: a small tree and its table of status codes."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import ceil

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from features.interaction import Violation

DOMAIN = "interplay.v1"
PUSHBACK = "grpc-retry-pushback-ms"
DETAILS = "grpc-status-details-bin"
RETRY_STEP_MS = 10  # when to come back is told in steps
MAX_DETAIL_BYTES = 3000  # of violations: a client may refuse more than 8 KiB of trailers

Trailers = tuple[tuple[str, str | bytes], ...]


class ServingError(Exception):
    """A refusal; its text is meant for the caller."""


class InvalidError(ServingError):
    """The request breaks rules."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        """Tells the first violation in the text, and as many as fit in the details."""
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        super().__init__(f"{violations[0]}{more}")
        self.violations = violations


class UnknownCallerError(ServingError):
    """Nobody knows who calls; the text does not say what was wrong."""


class ForbiddenError(ServingError):
    """Who calls is known, and may not do this."""


class NotFoundError(ServingError):
    """There is no such thing."""


class NoModelError(ServingError):
    """No model has been published, or none that may serve."""


class QueueFullError(ServingError):
    """More calls wait than can be answered in time."""

    def __init__(self, *, wait_s: float) -> None:
        """`wait_s` is how long the calls that wait will probably take."""
        self.retry_ms = _retry_ms(wait_s)
        super().__init__(f"too many calls wait: try again in {self.retry_ms} ms")


class RateError(ServingError):
    """A caller, or those of a channel, call more often than they may."""

    def __init__(self, text: str, *, wait_s: float) -> None:
        """`wait_s` is how long there will be no room."""
        self.retry_ms = _retry_ms(wait_s)
        super().__init__(f"{text}: try again in {self.retry_ms} ms")


class TooManyError(ServingError):
    """More conversations are open than there may be."""


class DeadlineError(ServingError):
    """The answer would come too late to be of use."""


class UnavailableError(ServingError):
    """What is needed does not work now; the same call may succeed later."""


STATUS: dict[type[ServingError], tuple[grpc.StatusCode, str]] = {
    InvalidError: (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
    UnknownCallerError: (grpc.StatusCode.UNAUTHENTICATED, "UNKNOWN_CALLER"),
    ForbiddenError: (grpc.StatusCode.PERMISSION_DENIED, "FORBIDDEN"),
    NotFoundError: (grpc.StatusCode.NOT_FOUND, "NOT_FOUND"),
    NoModelError: (grpc.StatusCode.FAILED_PRECONDITION, "NO_MODEL"),
    QueueFullError: (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL"),
    RateError: (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_OFTEN"),
    TooManyError: (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY"),
    DeadlineError: (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_PASSED"),
    UnavailableError: (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE"),
}
"""The status code of each refusal, and the reason in its google.rpc.ErrorInfo."""


def _retry_ms(wait_s: float) -> int:
    return max(1, ceil(wait_s * 1000 / RETRY_STEP_MS)) * RETRY_STEP_MS


def code_of(error: ServingError) -> grpc.StatusCode:
    """The status code that the caller gets."""
    return STATUS[type(error)][0]


def reason_of(error: ServingError) -> str:
    """What programs call it."""
    return STATUS[type(error)][1]


def trailers_of(error: ServingError) -> Trailers:
    """The trailers that the caller gets: google.rpc details, and when a retry makes sense."""
    code, reason = STATUS[type(error)]
    if isinstance(error, InvalidError):
        first = error.violations[0]
        broken = {"field": first.field, "value": first.value, "limit": first.rule}
        more = _bad_request(error.violations)
        return ((DETAILS, _details(code, reason, str(error), broken, more)),)
    trailers: Trailers = ((DETAILS, _plain_details(code, reason, str(error))),)
    if isinstance(error, QueueFullError | RateError):
        trailers += ((PUSHBACK, str(error.retry_ms)),)
    return trailers


@lru_cache(maxsize=256)  # a server that is asked for too much has no time for this
def _plain_details(code: grpc.StatusCode, reason: str, text: str) -> bytes:
    return _details(code, reason, text, {})


def _details(
    code: grpc.StatusCode, reason: str, text: str, metadata: Mapping[str, str], *more: Message
) -> bytes:
    """A google.rpc.Status as it travels in a trailer."""
    info = error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata)
    status = status_pb2.Status(
        code=code_pb2.Code.Value(code.name), message=text, details=map(_packed, (info, *more))
    )
    return bytes(status.SerializeToString())


def _bad_request(violations: Sequence[Violation]) -> error_details_pb2.BadRequest:
    bad = error_details_pb2.BadRequest()
    for each in violations:
        if bad.ByteSize() > MAX_DETAIL_BYTES:
            break
        bad.field_violations.add(field=each.field, description=f"{each.value}: {each.rule}")
    return bad


def _packed(detail: Message) -> Any:
    packed = Any()
    packed.Pack(detail)
    return packed
