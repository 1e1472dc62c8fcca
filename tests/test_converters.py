"""Converters: literal samples of each public format, and what they mean here."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.converters import cloudevents, ga4, personalize, retail, segment
from features.converters.event import ConversionError, Sender
from features.interaction import Interaction, check
from features.readers.events import CONVERTERS
from tests.event_samples import (
    CLOUD_EVENT,
    GA4_PAYLOAD,
    GA4_ROW,
    PUT_EVENTS,
    SAMPLES,
    SEGMENT_CALL,
    USER_EVENT,
)
from tests.imports import NOW, VOCABULARY

SENDER = Sender(source="shop")


def brief(found: list[Interaction]) -> list[tuple]:
    """Type, item, quantity, amount and currency of each."""
    return [(each.type, each.item_id, each.quantity, each.amount, each.currency) for each in found]


def refusal(format: str, event: Mapping[str, Any]) -> str:
    with pytest.raises(ConversionError) as error:
        CONVERTERS[format](event, SENDER)
    return str(error.value)


def test_a_cloud_event_is_its_data_in_an_envelope() -> None:
    assert cloudevents.convert(CLOUD_EVENT, SENDER) == [
        Interaction(
            source="/shop/checkout",
            interaction_id="C234-1234-1234",
            customer_id="ada",
            initiator="CUSTOMER",
            type="purchase",
            channel="store",
            item_id="i7",
            event_time=datetime(2018, 4, 5, 17, 31, tzinfo=UTC),
            quantity=2.0,
            amount=12.5,
            currency="EUR",
            attributes={"till": "4"},
        )
    ]


def test_a_cloud_event_may_say_all_in_extensions() -> None:
    event = {
        "specversion": "1.0",
        "type": "message",
        "source": "crm",
        "id": "1",
        "time": "2026-01-01T00:00:00+01:00",
        "subject": "offer-1",
        "customerid": "ada",
        "channel": "email",
        "decisionid": "d1",
        "position": 1,
    }
    (found,) = cloudevents.convert(event, SENDER)
    assert (found.initiator, found.type, found.channel) == ("COMPANY", "message", "email")
    assert (found.item_id, found.decision_id, found.position) == ("offer-1", "d1", 1)
    assert found.event_time == datetime(2025, 12, 31, 23, tzinfo=UTC)


def test_a_cloud_event_in_base64_is_the_same_event() -> None:
    data = "eyJjdXN0b21lcl9pZCI6ICJhZGEiLCAidHlwZSI6ICJ2aWV3In0="  # {"customer_id": "ada", ...
    bare = {name: CLOUD_EVENT[name] for name in ("specversion", "type", "source", "id", "time")}
    (found,) = cloudevents.convert({**bare, "data_base64": data}, SENDER)
    assert (found.customer_id, found.type, found.channel) == ("ada", "view", "web")


def test_an_exported_ga4_purchase_is_one_interaction_an_item() -> None:
    found = ga4.convert(GA4_ROW, SENDER)
    assert brief(found) == [
        ("purchase", "SKU_1", 3.0, pytest.approx(30.03), "USD"),
        ("purchase", "SKU_2", 1.0, 42.02, "USD"),
    ]
    first = found[0]
    assert (first.customer_id, first.anonymous_id) == (None, "1026454.4271112504")
    assert first.session_id == "1026454.4271112504.1606708700"
    assert first.event_time == datetime(2020, 11, 30, 4, 0, 0, 123456, UTC)
    assert first.attributes == {"transaction": "T_12345"}
    assert [each.interaction_id[32:] for each in found] == ["#1", "#2"]


def test_a_ga4_purchase_reported_twice_is_one_purchase() -> None:
    again = ga4.convert({**GA4_ROW, "event_timestamp": "1606708999000000"}, SENDER)
    first = ga4.convert(GA4_ROW, SENDER)
    assert [each.interaction_id for each in again] == [each.interaction_id for each in first]


def test_a_ga4_payload_gives_all_its_events() -> None:
    found = ga4.convert(GA4_PAYLOAD, SENDER)
    assert brief(found) == [
        ("search", None, None, None, None),
        ("impression", "SKU_1", None, None, None),
        ("impression", "SKU_2", None, None, None),
        ("return", None, None, 12.21, "USD"),
    ]
    assert [each.initiator for each in found] == ["CUSTOMER", "COMPANY", "COMPANY", "CUSTOMER"]
    assert [each.position for each in found] == [None, 0, 1, None]
    assert found[0].attributes == {"query": "t-shirts"}
    assert found[1].attributes == {"list": "related_products"}
    assert {each.customer_id for each in found} == {"ada"}


def test_ga4_names_what_is_no_interaction() -> None:
    assert refusal("ga4", {**GA4_ROW, "event_name": "session_start"}).startswith(
        "event_name is 'session_start': is no interaction; those are page_view, "
    )
    assert refusal("ga4", {"client_id": "1", "events": [{"name": "login"}]}) == (
        "timestamp_micros is None: is required: the payload says no other time"
    )
    wrong = {**GA4_ROW, "items": [{"item_id": "SKU_1", "price": "ten"}]}
    assert refusal("ga4", wrong) == "items[0].price is 'ten': must be a number such as 12.5"


def test_a_ga4_login_identifies() -> None:
    row = {**GA4_ROW, "event_name": "login", "items": [], "user_id": "ada"}
    (found,) = ga4.convert(row, SENDER)
    assert (found.type, found.customer_id, found.anonymous_id) == (
        "identify",
        "ada",
        "1026454.4271112504",
    )
    assert "user_id is None: is required" in refusal("ga4", {**row, "user_id": None})


def test_a_segment_order_is_one_interaction_a_product() -> None:
    found = segment.convert(SEGMENT_CALL, SENDER)
    assert brief(found) == [
        ("purchase", "507f1f77bcf86cd799439011", 1.0, 19.0, "EUR"),
        ("purchase", "505bd76785ebb509fc183733", 2.0, 6.0, "EUR"),
    ]
    assert [each.interaction_id for each in found] == [
        "bbac-11e4-8dfc-aa07a5b093db#1",
        "bbac-11e4-8dfc-aa07a5b093db#2",
    ]
    assert found[0].event_time == datetime(2015, 2, 23, 22, 28, 55, 111000, UTC)
    assert (found[0].customer_id, found[0].channel) == ("97980cfea0067", "web")


@pytest.mark.parametrize(
    ("event", "properties", "expected"),
    [
        ("Product Viewed", {"product_id": "p1", "price": 9, "position": 3}, ("view", "p1", 3)),
        ("Product Added", {"sku": "s1", "quantity": 1}, ("cart-add", "s1", None)),
        ("Product Added to Wishlist", {"product_id": "p1"}, ("favorite", "p1", None)),
        ("Promotion Viewed", {"promotion_id": "x", "position": "home_banner_top"},
         ("impression", "x", None)),
        ("Products Searched", {"query": "blue roses"}, ("search", None, None)),
        ("Order Refunded", {"order_id": "o", "total": 30}, ("return", None, None)),
    ],
)  # fmt: skip
def test_segment_events_by_name(event: str, properties: dict, expected: tuple) -> None:
    (found,) = segment.convert({**SEGMENT_CALL, "event": event, "properties": properties}, SENDER)
    assert (found.type, found.item_id, found.position) == expected
    assert found.currency == ("USD" if found.type == "return" else None)


def test_segment_pages_and_identities() -> None:
    page = {**SEGMENT_CALL, "type": "page", "name": "Docs", "properties": {"path": "/docs"}}
    (seen,) = segment.convert(page, SENDER)
    assert (seen.type, seen.item_id, seen.attributes) == ("view", None, {"page": "Docs"})
    identify = {**SEGMENT_CALL, "type": "identify", "traits": {"email": "ada@example.com"}}
    (known,) = segment.convert({**identify, "properties": None}, SENDER)
    assert (known.type, known.customer_id, known.anonymous_id) == (
        "identify",
        "97980cfea0067",
        "507f191e810c19729de860ea",
    )
    assert known.attributes == {}
    assert "userId is None: is required" in refusal("segment", {**identify, "userId": None})
    assert "event is 'Checkout Started'" in refusal(
        "segment", {**SEGMENT_CALL, "event": "Checkout Started"}
    )


def test_a_personalize_request_gives_events_and_what_was_shown() -> None:
    found = personalize.convert(PUT_EVENTS, SENDER)
    assert [(each.type, each.item_id, each.position, each.initiator) for each in found] == [
        ("impression", "movie_ten", 1, "COMPANY"),
        ("impression", "choc-panama", 2, "COMPANY"),
        ("view", "movie_ten", None, "CUSTOMER"),
        ("rating", "movie_ten", None, "CUSTOMER"),
    ]
    assert [each.interaction_id for each in found] == [
        "event1#shown-1",
        "event1#shown-2",
        "event1",
        "event2",
    ]
    assert {each.decision_id for each in found[:3]} == {"RID-1"}
    assert found[3].attributes == {"value": "4"}
    assert found[3].event_time == datetime(2019, 3, 26, 20, 23, 2, tzinfo=UTC)
    assert (found[0].customer_id, found[0].session_id) == ("user555", "session1")


def test_a_personalize_value_is_money_where_the_currency_is_known() -> None:
    bought = {"eventType": "Purchase", "sentAt": "1553631760", "itemId": "i", "eventValue": 9.5}
    request = {"sessionId": "s", "eventList": [bought]}
    (plain,) = personalize.convert(request, SENDER)
    (priced,) = personalize.convert(request, Sender(source="shop", currency="EUR"))
    assert (plain.amount, plain.attributes, plain.customer_id) == (None, {"value": "9.5"}, None)
    assert (priced.amount, priced.currency, priced.attributes) == (9.5, "EUR", {})
    assert plain.interaction_id == priced.interaction_id
    assert "eventList[0].eventType is 'Nap'" in refusal(
        "personalize", {**request, "eventList": [{**bought, "eventType": "Nap"}]}
    )
    assert "eventList is []: must hold 1 to 10" in refusal("personalize", {"eventList": []})


def test_the_amounts_of_a_retail_purchase_add_up_to_its_revenue() -> None:
    assert brief(retail.convert(USER_EVENT, SENDER)) == [
        ("purchase", "abc", 1.0, 25.0, "USD"),
        ("purchase", "def", 3.0, 75.0, "USD"),
    ]
    products = [
        {"product": {"id": "abc", "priceInfo": {"price": 70}}, "quantity": 1},
        {"product": {"id": "def", "priceInfo": {"price": 10}}, "quantity": 1},
    ]
    found = retail.convert({**USER_EVENT, "productDetails": products}, SENDER)
    assert [each.amount for each in found] == [87.5, 12.5]
    assert found[0].event_time == datetime(2020, 1, 1, 3, 33, 33, 1, UTC)
    assert (found[0].customer_id, found[0].anonymous_id) == ("user0", "visitor0")


def test_a_retail_search_shows_its_products() -> None:
    search = {**USER_EVENT, "eventType": "search", "searchQuery": "tea"}
    found = retail.convert(search, SENDER)
    assert [(each.type, each.item_id, each.position) for each in found] == [
        ("search", None, None),
        ("impression", "abc", 1),
        ("impression", "def", 2),
    ]
    assert found[0].attributes == {"query": "tea", "cart": "cart1"}
    home = {name: USER_EVENT[name] for name in ("visitorId", "eventTime")}
    (page,) = retail.convert({**home, "eventType": "home-page-view"}, SENDER)
    assert (page.type, page.attributes) == ("view", {"page": "home-page-view"})
    assert "productDetails is None: is required for detail-page-view" in refusal(
        "retail", {**home, "eventType": "detail-page-view"}
    )


@pytest.mark.parametrize("format", SAMPLES)
def test_every_sample_may_enter(format: str) -> None:
    found = CONVERTERS[format](SAMPLES[format], SENDER)
    assert [each for one in found for each in check(one, vocabulary=VOCABULARY, now=NOW)] == []
    ids = [each.interaction_id for each in found]
    assert len(set(ids)) == len(ids)
    assert CONVERTERS[format](json.loads(json.dumps(SAMPLES[format])), SENDER) == found


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


@pytest.mark.parametrize("format", SAMPLES)
@given(data=st.data())
def test_an_odd_field_is_converted_or_refused_by_name(format: str, data: st.DataObject) -> None:
    sample = SAMPLES[format]
    name = data.draw(st.sampled_from(sorted(sample)))
    try:
        found = CONVERTERS[format]({**sample, name: data.draw(JSON_VALUES)}, SENDER)
    except ConversionError as error:
        assert error.violation.field
        assert error.violation.rule
    else:
        assert all(isinstance(each, Interaction) for each in found)
