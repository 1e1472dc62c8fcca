"""Bad input over a real channel: refused with field, value and limit, and without internals."""

from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status
from interplay.v1.catalog_service_pb2 import (
    DeleteItemsRequest,
    GetItemRequest,
    Item,
    UpsertItemsRequest,
)
from interplay.v1.customer_service_pb2 import GetCustomerRequest
from interplay.v1.interaction_pb2 import Interaction, Money
from interplay.v1.model_service_pb2 import ListModelsRequest
from interplay.v1.personalization_service_pb2 import RecordInteractionsRequest

from tests.running import Running, asked, viewed

GOOD = viewed("ada", "eggs")
LONG = "x" * 129
NAN = float("nan")


def changed(**changes: Any) -> RecordInteractionsRequest:
    fields = {each.name: value for each, value in GOOD.ListFields()}
    return RecordInteractionsRequest(interactions=[GOOD, Interaction(**(fields | changes))])


BAD = [
    (changed(type="stare"), "interactions[1].type", "'stare'", "unknown interaction type; known"),
    (changed(source=""), "interactions[1].source", "''", "must not be empty"),
    (changed(interaction_id=LONG), "interactions[1].interaction_id", "'xxx", "limit is 128"),
    (changed(customer_id=""), "interactions[1].customer_id", "''", "is required"),
    (changed(item_id=LONG), "interactions[1].item_id", "'xxx", "is 129 bytes; the limit is 128"),
    (changed(channel="Web"), "interactions[1].channel", "'Web'", "kebab-case"),
    (changed(initiator=7), "interactions[1].initiator", "'7'", "CUSTOMER or COMPANY"),
    (changed(quantity=NAN), "interactions[1].quantity", "nan", "from 0 to 1e+09"),
    (changed(position=-1), "interactions[1].position", "-1", "from 0 to 1000"),
    (changed(attributes={"a": "b" * 257}), "interactions[1].attributes['a']", "'bb", "is 256"),
    (
        changed(type="purchase", money=Money(amount=NAN, currency_code="EUR")),
        "interactions[1].money.amount",
        "nan",
        "from 0 to 1e+12",
    ),
    (
        changed(type="purchase", money=Money(amount=-1, currency_code="EUR")),
        "interactions[1].money.amount",
        "-1.0",
        "from 0 to 1e+12",
    ),
    (
        changed(type="purchase", money=Money(amount=1)),
        "interactions[1].money.currency_code",
        "''",
        "three capital letters",
    ),
    (
        changed(money=Money(amount=1, currency_code="EUR")),
        "interactions[1].money",
        "1.0",
        "view is no transaction",
    ),
    (
        changed(event_time=Timestamp(seconds=4102444800)),
        "interactions[1].event_time",
        "2100-01-01",
        "5 minutes after now",
    ),
    (changed(event_time=Timestamp(seconds=1)), "interactions[1].event_time", "1970", "year 2000"),
    (
        changed(event_time=Timestamp(seconds=2**60)),
        "interactions[1].event_time",
        "1152921504606846976 s",
        "valid Timestamp",
    ),
    (changed(event_time=None), "interactions[1].event_time", "not set", "is required"),
    (RecordInteractionsRequest(), "interactions", "0 entries", "must be 1 to 500 entries"),
    (
        RecordInteractionsRequest(interactions=[GOOD] * 501),
        "interactions",
        "501 entries",
        "must be 1 to 500 entries",
    ),
    (asked(customer_id=""), "customer_id", "''", "customer_id or anonymous_id is required"),
    (asked(customer_id=LONG), "customer_id", "'xxx", "is 129 bytes; the limit is 128"),
    (asked(channel=""), "channel", "''", "kebab-case"),
    (asked(placement="x" * 65), "placement", "'xxx", "is 65 bytes; the limit is 64"),
    (asked(k=101), "k", "101", "must be 1 to 100"),
    (asked(k=-1), "k", "-1", "must be 1 to 100"),
    (asked(candidate_item_ids=["a"] * 1001), "candidate_item_ids", "1001 entries", "to 1000"),
    (asked(excluded_item_ids=["a"] * 501), "excluded_item_ids", "501 entries", "to 500"),
    (asked(excluded_item_ids=["a", ""]), "excluded_item_ids[1]", "''", "must not be empty"),
    (
        asked(candidate_item_ids=["apple", "unheard-of"], strict_item_ids=True),
        "candidate_item_ids[1]",
        "'unheard-of'",
        "unknown item",
    ),
    (
        asked(excluded_item_ids=["unheard-of"], strict_item_ids=True),
        "excluded_item_ids[0]",
        "'unheard-of'",
        "unknown item",
    ),
    (
        asked(interactions=[viewed("ada", "unheard-of")], strict_item_ids=True),
        "interactions[0].item_id",
        "'unheard-of'",
        "unknown item",
    ),
    (
        RecordInteractionsRequest(interactions=[viewed("ada", "unheard-of")], strict_item_ids=True),
        "interactions[0].item_id",
        "'unheard-of'",
        "unknown item",
    ),
    (
        asked(interactions=[viewed("bob", "eggs")]),
        "interactions[0].customer_id",
        "'bob'",
        "must be the customer_id of the request, 'ada', or left out",
    ),
    (
        asked(interactions=[viewed("", "eggs", anonymous_id="device")]),
        "interactions[0].anonymous_id",
        "'device'",
        "must be the anonymous_id of the request",
    ),
    (asked(interactions=[viewed("ada", "eggs", type="")]), "interactions[0].type", "''", "known"),
    (asked(filter="price < 100 &&"), "filter", "'the end'", "position 15: expected !, (, a"),
    (asked(filter='colour == "red"'), "filter", "'colour'", "position 1: expected !, (, a"),
    (asked(filter="x" * 1001), "filter", "'xxx", "must be at most 1000 bytes"),
    (asked(deadline_hint=Duration(seconds=-1)), "deadline_hint", "-1 s", "more than 0"),
    (asked(deadline_hint=Duration()), "deadline_hint", "0 s", "more than 0"),
    (UpsertItemsRequest(), "items", "0 entries", "must be 1 to 500 entries"),
    (UpsertItemsRequest(items=[Item()]), "items[0].item_id", "''", "must not be empty"),
    (
        UpsertItemsRequest(items=[Item(item_id="a", price=Money(amount=1))]),
        "items[0].price.currency_code",
        "''",
        "three capital letters",
    ),
    (DeleteItemsRequest(), "item_ids", "0 entries", "must be 1 to 500 entries"),
    (DeleteItemsRequest(item_ids=["\n"]), "item_ids[0]", r"'\n'", "control characters"),
    (GetItemRequest(item_id=LONG), "item_id", "'xxx", "limit is 128"),
    (GetCustomerRequest(), "customer_id", "''", "customer_id or anonymous_id is required"),
    (ListModelsRequest(page_size=101), "page_size", "101", "must be 1 to 100"),
    (ListModelsRequest(page_token="?"), "page_token", "'?'", "next_page_token"),
    (ListModelsRequest(page_token="é"), "page_token", "'é'", "next_page_token"),
]

METHODS = {
    "RecordInteractionsRequest": "PersonalizationService/RecordInteractions",
    "DecideInteractionRequest": "PersonalizationService/DecideInteraction",
    "UpsertItemsRequest": "CatalogService/UpsertItems",
    "DeleteItemsRequest": "CatalogService/DeleteItems",
    "GetItemRequest": "CatalogService/GetItem",
    "GetCustomerRequest": "CustomerService/GetCustomer",
    "GetModelRequest": "ModelService/GetModel",
    "ListModelsRequest": "ModelService/ListModels",
}


def refused(running: Running, method: str, data: bytes) -> grpc.RpcError:
    call = running.channel.unary_unary(f"/interplay.v1.{method}")
    with pytest.raises(grpc.RpcError) as error:
        call(data)
    return error.value


def violations(error: grpc.RpcError) -> dict[str, str]:
    status, bad = Status(), BadRequest()
    status.ParseFromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    for each in status.details:
        each.Unpack(bad)
    return {each.field: each.description for each in bad.field_violations}


@pytest.mark.parametrize(("request_", "field", "value", "rule"), BAD, ids=[b[1] for b in BAD])
def test_bad_input_is_refused_with_field_value_and_limit(
    running: Running, request_: Any, field: str, value: str, rule: str
) -> None:
    name = request_.DESCRIPTOR.name
    error = refused(running, METHODS[name], request_.SerializeToString())
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    shown, _, told = violations(error)[field].partition(": ")
    assert shown.startswith(value)
    assert rule in told
    assert field in error.details()


def test_every_violation_is_told(running: Running) -> None:
    request = asked(k=999, channel="?", candidate_item_ids=[""])
    error = refused(running, METHODS["DecideInteractionRequest"], request.SerializeToString())
    assert set(violations(error)) == {"k", "channel", "candidate_item_ids[0]"}


@pytest.mark.parametrize("name", METHODS)
def test_undecodable_bytes_are_refused_without_internals(running: Running, name: str) -> None:
    error = refused(running, METHODS[name], b"\xff\xff\xff")
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == f"request is 3 bytes: must be a serialized interplay.v1.{name}"


def test_an_unknown_method_is_unimplemented(running: Running) -> None:
    error = refused(running, "PersonalizationService/Guess", b"")
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
