"""What a caller is told: a code for every refusal, details that name field, value and limit."""

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from features.interaction import Violation
from serving.errors import (
    STATUS,
    InvalidError,
    NotFoundError,
    QueueFullError,
    ServingError,
    code_of,
    trailers_of,
)


def details(error: ServingError) -> Status:
    values = dict(trailers_of(error))
    status = Status()
    status.ParseFromString(values["grpc-status-details-bin"])  # type: ignore[arg-type]
    return status


def test_every_refusal_has_a_code() -> None:
    assert set(STATUS) == set(ServingError.__subclasses__())


def test_violations_are_told_by_field_value_and_limit() -> None:
    error = InvalidError(
        [Violation("k", "101", "must be 1 to 100"), Violation("channel", "''", "x")]
    )
    assert code_of(error) is grpc.StatusCode.INVALID_ARGUMENT
    assert str(error) == "k is 101: must be 1 to 100 (and 1 more)"
    status = details(error)
    assert (status.code, status.message) == (3, str(error))
    info, bad = ErrorInfo(), BadRequest()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain) == ("INVALID_FIELD", "interplay.v1")
    assert dict(info.metadata) == {"field": "k", "value": "101", "limit": "must be 1 to 100"}
    assert status.details[1].Unpack(bad)
    assert [(each.field, each.description) for each in bad.field_violations] == [
        ("k", "101: must be 1 to 100"),
        ("channel", "'': x"),
    ]


def test_details_of_many_violations_fit_into_trailers() -> None:
    many = [Violation(f"interactions[{n}].type", "'ü'" * 40, "unknown " * 30) for n in range(5000)]
    (_, encoded), *_ = trailers_of(InvalidError(many))
    assert 3000 < len(encoded) < 6000


def test_a_full_queue_says_when_to_try_again() -> None:
    trailers = dict(trailers_of(QueueFullError(wait_s=0.0375)))
    assert trailers["grpc-retry-pushback-ms"] == "40"


def test_other_refusals_say_their_reason() -> None:
    info = ErrorInfo()
    details(NotFoundError("no such item")).details[0].Unpack(info)
    assert info.reason == "NOT_FOUND"
