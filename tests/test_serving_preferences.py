"""The customer's own hand: what is muted is offered no more, in any channel, from the next call."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from interplay.v1.catalog_service_pb2 import Item, UpsertItemsRequest
from interplay.v1.customer_service_pb2 import (
    EraseCustomerRequest,
    ExportCustomerRequest,
    GetCustomerRequest,
    GetCustomerResponse,
    Preference,
    SetPreferencesRequest,
    SetPreferencesResponse,
)
from interplay.v1.interaction_pb2 import INITIATOR_COMPANY
from interplay.v1.personalization_service_pb2 import NoAction

from tests.artefacts import ITEM_IDS
from tests.running import Running, decide, offered, record, viewed

CATEGORY_OF = dict.fromkeys(ITEM_IDS, "Food") | {"apple": "Fruit", "dates": "Fruit"}


@pytest.fixture(scope="module")
def shop(home: Path) -> Iterator[Running]:
    """A server whose items have categories, and whose customers may be turned to."""
    with Running(home, assumed_consent="personalization, contact") as server:
        items = [
            Item(item_id=each, name=each, category=category, brand="Farm")
            for each, category in CATEGORY_OF.items()
        ]
        server.catalog.UpsertItems(UpsertItemsRequest(items=items))
        yield server


def wish(
    shop: Running, customer: str, *preferences: Preference, **fields: object
) -> SetPreferencesResponse:
    request = SetPreferencesRequest(
        customer_id=customer,
        channel="app",
        preferences=preferences,
        **fields,  # type: ignore[arg-type]
    )
    return shop.customers.SetPreferences(request)


def muted(**topic: str) -> Preference:
    return Preference(muted=True, **topic)  # type: ignore[arg-type]


def get(shop: Running, customer: str) -> GetCustomerResponse:
    return shop.customers.GetCustomer(GetCustomerRequest(customer_id=customer))


def in_days(days: int) -> Timestamp:
    end = Timestamp()
    end.FromDatetime(datetime.now(UTC) + timedelta(days=days))
    return end


def test_a_muted_category_is_offered_in_no_channel_until_it_is_let_be(
    shop: Running, customer: str
) -> None:
    reply = wish(shop, customer, muted(category="Fruit"))
    assert [each.category for each in reply.preferences] == ["Fruit"]
    assert not reply.pending
    for channel in ("web", "store"):
        assert offered(decide(shop, customer, channel=channel, k=6)) == [
            *("bread", "cheese", "eggs", "flour")
        ]
    assert not wish(shop, customer, Preference(category="Fruit", muted=False)).preferences
    assert len(offered(decide(shop, customer, k=6))) == 6


def test_what_is_not_for_me_is_not_offered_however_much_happens_since(
    shop: Running, customer: str
) -> None:
    wish(shop, customer, muted(item_id="apple"))
    record(shop, *(viewed(customer, "apple") for _ in range(120)))
    assert "apple" not in offered(decide(shop, customer, k=6))


def test_when_all_of_it_is_muted_that_is_the_reason(shop: Running, customer: str) -> None:
    wish(shop, customer, muted(brand="Farm"))
    assert decide(shop, customer).no_action.reason == NoAction.REASON_MUTED
    nothing = decide(shop, customer, candidate_item_ids=["nobody-knows-it"])
    assert nothing.no_action.reason == NoAction.REASON_NOT_ELIGIBLE


def test_a_muted_channel_is_silent_and_others_are_not(shop: Running, customer: str) -> None:
    wish(shop, customer, muted(channel="email"))
    asked = {"channel": "email", "initiator": INITIATOR_COMPANY}
    assert decide(shop, customer, **asked).no_action.reason == NoAction.REASON_MUTED
    assert offered(decide(shop, customer, channel="sms", initiator=INITIATOR_COMPANY))


def test_a_muted_type_is_not_led_to(shop: Running, customer: str) -> None:
    record(shop, viewed(customer, "apple"), viewed(customer, "apple"))
    wish(shop, customer, muted(type="view"))
    assert decide(shop, customer).no_action.reason == NoAction.REASON_MUTED
    wish(shop, customer, Preference(type="view"), muted(type="message"))
    assert offered(decide(shop, customer))
    unasked = decide(shop, customer, initiator=INITIATOR_COMPANY)
    assert unasked.no_action.reason == NoAction.REASON_MUTED


def test_who_pauses_is_answered_but_not_turned_to(shop: Running, customer: str) -> None:
    end = in_days(3)
    told = wish(shop, customer, pause_end_time=end).pause_end_time
    assert 0 <= told.seconds - end.seconds <= 60
    assert get(shop, customer).pause_end_time == told
    unasked = decide(shop, customer, channel="email", initiator=INITIATOR_COMPANY)
    assert unasked.no_action.reason == NoAction.REASON_PAUSED
    assert offered(decide(shop, customer))
    assert not wish(shop, customer, pause_end_time=in_days(-1)).HasField("pause_end_time")
    assert offered(decide(shop, customer, channel="email", initiator=INITIATOR_COMPANY))


def test_the_customer_sees_what_is_held_and_inferred(shop: Running, customer: str) -> None:
    record(shop, viewed(customer, "dates"), viewed(customer, "dates"))
    wish(shop, customer, muted(brand="Nowhere"), muted(item_id="apple"), muted(type="rating"))
    reply = get(shop, customer)
    assert [each.WhichOneof("topic") for each in reply.preferences] == ["brand", "item_id", "type"]
    names = [each.brand or each.item_id or each.type for each in reply.preferences]
    assert names == ["", "apple", "rating"]  # nothing of that brand is in the catalog
    assert reply.interaction_count == 5
    assert reply.inference.types[0].name == "opt-out"
    assert reply.inference.categories[0].name == "Fruit"
    assert reply.inference.model_version == "1"


def test_without_consent_nothing_is_inferred_and_wishes_hold(shop: Running, customer: str) -> None:
    purpose = {"purpose": "personalization"}
    record(shop, viewed(customer, "", type="opt-out", attributes=purpose))
    wish(shop, customer, muted(category="Food"))
    assert not get(shop, customer).HasField("inference")
    assert offered(decide(shop, customer, k=6)) == ["apple", "dates"]


def test_wishes_are_exported_and_erased_like_everything_else(shop: Running, customer: str) -> None:
    wish(shop, customer, muted(category="Fruit"))
    lines = shop.customers.ExportCustomer(ExportCustomerRequest(customer_id=customer))
    assert any('"topic": "category:Fruit"' in each.line for each in lines)
    shop.customers.EraseCustomer(EraseCustomerRequest(customer_id=customer))
    assert get(shop, customer) == GetCustomerResponse()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "preferences is 0 entries: must be 1 to 100 entries"),
        ({"preferences": [Preference()]}, "preferences[0].topic is not set: is required"),
        ({"preferences": [muted(type="fun")]}, "preferences[0].topic is 'type:fun': unknown "),
        ({"preferences": [muted(category="")]}, "preferences[0].category is '': must not be "),
        ({"preferences": [muted(channel="E mail")]}, "preferences[0].channel is 'E mail': must"),
        (
            {"preferences": [muted(brand="A"), Preference(brand="A")]},
            "preferences[1].topic is brand:A: is named twice",
        ),
        ({"pause_end_time": in_days(1001)}, "pause_end_time is '20"),
        ({"pause_end_time": Timestamp(seconds=10**15)}, "pause_end_time is 1000000000000000 s"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    shop: Running, customer: str, fields: dict[str, object], told: str
) -> None:
    request = SetPreferencesRequest(
        customer_id=customer,
        channel="app",
        **fields,  # type: ignore[arg-type]
    )
    with pytest.raises(grpc.RpcError) as refused:
        shop.customers.SetPreferences(request)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (refused.value.details() or "")[: len(told)] == told


def test_there_is_an_end_to_topics(shop: Running, customer: str) -> None:
    for start in (0, 100):
        wish(shop, customer, *(muted(item_id=f"item-{start + at}") for at in range(100)))
    with pytest.raises(grpc.RpcError) as refused:
        wish(shop, customer, muted(item_id="one-more"))
    told = "preferences is 201 topics: at most 200 different topics are kept of a customer"
    assert refused.value.details() == told
    wish(shop, customer, Preference(item_id="item-7"))
