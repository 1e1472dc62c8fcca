"""The service over a real channel: what it answers, and to whom what counts."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from interplay.v1.catalog_service_pb2 import (
    DeleteItemsRequest,
    GetItemRequest,
    Item,
    UpsertItemsRequest,
)
from interplay.v1.customer_service_pb2 import GetCustomerRequest
from interplay.v1.interaction_pb2 import INITIATOR_COMPANY, INITIATOR_CUSTOMER, Money
from interplay.v1.personalization_service_pb2 import (
    DEGRADATION_LEVEL_NONE,
    DEGRADATION_LEVEL_POPULARITY,
)

from tests.running import NEW_YEAR, Running, decide, offered, record, viewed


def test_an_unknown_customer_is_a_new_one(running: Running, customer: str) -> None:
    reply = decide(running, customer, k=3)
    assert offered(reply) == ["apple", "bread", "cheese"]
    assert [each.name for each in reply.candidates] == ["Apple", "Bread", "Cheese"]
    assert reply.model_version == "1"
    assert reply.freshness.interactions_seen == 0
    assert not reply.freshness.HasField("newest_event_time")
    assert reply.freshness.degradation_level == DEGRADATION_LEVEL_NONE
    assert (reply.intents[0].type, len(reply.intents)) == ("silence", 13)
    assert sum(each.probability for each in reply.intents) == pytest.approx(1)


def test_a_recorded_interaction_changes_the_next_answer_in_another_channel(
    running: Running, customer: str
) -> None:
    assert record(running, viewed(customer, "eggs"), viewed(customer, "eggs")) == (2, 0)
    newest = viewed(customer, "eggs", type="purchase", channel="store")
    assert record(running, newest) == (1, 0)
    reply = decide(running, customer, k=2, channel="contact-center")
    assert offered(reply) == ["eggs", "apple"]
    assert reply.intents[0].type == "view"
    assert reply.freshness.interactions_seen == 3
    assert reply.freshness.newest_event_time == newest.event_time
    eggs = reply.candidates[0]
    assert sum(each.probability for each in eggs.intents) == pytest.approx(eggs.score)
    assert [each.type for each in eggs.intents[:2]] == ["view", "purchase"]
    assert 0 < eggs.score < 1


def test_every_decision_has_a_name_of_its_own(running: Running, customer: str) -> None:
    assert len({decide(running, customer).decision_id for _ in range(3)}) == 3


def test_interactions_that_come_along_count_in_the_same_answer(
    running: Running, customer: str
) -> None:
    along = [viewed("", "dates"), viewed(customer, "dates")]
    reply = decide(running, customer, k=1, interactions=along)
    assert offered(reply) == ["dates"]
    assert reply.freshness.interactions_seen == 2
    assert decide(running, customer).freshness.interactions_seen == 2
    again = decide(running, customer, interactions=along)
    assert again.freshness.interactions_seen == 2


def test_interactions_of_a_device_count_for_the_customer_who_brings_it(
    running: Running, customer: str
) -> None:
    along = [viewed("", "dates", anonymous_id="device")]
    reply = decide(running, customer, anonymous_id="device", interactions=along)
    assert reply.freshness.interactions_seen == 1


def test_writing_twice_is_writing_once(running: Running, customer: str) -> None:
    once, other = viewed(customer, "eggs"), viewed(customer, "flour")
    assert record(running, once, once) == (1, 1)
    assert record(running, other, once) == (1, 1)
    assert decide(running, customer).freshness.interactions_seen == 2


def test_only_what_fits_the_model_is_seen(running: Running, customer: str) -> None:
    record(running, *(viewed(customer, "eggs") for _ in range(9)))
    assert decide(running, customer).freshness.interactions_seen == 8


def test_excluded_items_do_not_appear(running: Running, customer: str) -> None:
    reply = decide(running, customer, k=2, excluded_item_ids=["apple", "cheese", "unheard-of"])
    assert offered(reply) == ["bread", "dates"]


def test_candidates_compete_alone(running: Running, customer: str) -> None:
    wanted = ["flour", "dates", "bread", "unheard-of"]
    reply = decide(running, customer, candidate_item_ids=wanted, excluded_item_ids=["bread"])
    assert offered(reply) == ["dates", "flour"]
    assert offered(decide(running, customer, candidate_item_ids=["unheard-of"])) == []


def test_more_than_there_is_gives_what_there_is(running: Running, customer: str) -> None:
    assert len(decide(running, customer, k=100).candidates) == 6


def test_many_callers_get_what_each_would_get_alone(running: Running, customer: str) -> None:
    record(running, viewed(customer, "eggs"))
    questions: list[dict[str, Any]] = [
        {},
        {"k": 1},
        {"excluded_item_ids": ["eggs", "apple"]},
        {"candidate_item_ids": ["flour", "bread"]},
        {"customer_id": "somebody-else"},
    ] * 20
    questions = [{"customer_id": customer} | each for each in questions]
    alone = [offered(decide(running, **each)) for each in questions]
    with ThreadPoolExecutor(24) as callers:
        replies = list(callers.map(lambda each: decide(running, **each), questions))
    assert [offered(each) for each in replies] == alone


def test_items_come_and_go_at_once(running: Running, customer: str) -> None:
    price = Money(currency_code="EUR", amount=2.5)
    bread = Item(item_id="bread", name="Rye", price=price, tags=["new"], unavailable=True)
    running.catalog.UpsertItems(UpsertItemsRequest(items=[bread]))
    assert running.catalog.GetItem(GetItemRequest(item_id="bread")).item == bread
    assert offered(decide(running, customer, k=2)) == ["apple", "cheese"]
    deleting = DeleteItemsRequest(item_ids=["apple", "unheard-of"])
    assert running.catalog.DeleteItems(deleting).deleted_count == 1
    with pytest.raises(grpc.RpcError) as absent:
        running.catalog.GetItem(GetItemRequest(item_id="apple"))
    assert absent.value.code() is grpc.StatusCode.NOT_FOUND
    assert "'apple'" in absent.value.details()
    assert offered(decide(running, customer, k=2)) == ["cheese", "dates"]
    back = [Item(item_id="bread", name="Bread"), Item(item_id="apple", name="Apple")]
    assert running.catalog.UpsertItems(UpsertItemsRequest(items=back)).upserted_count == 2
    assert offered(decide(running, customer, k=2)) == ["apple", "bread"]


def test_the_customer_sees_what_is_held(running: Running) -> None:
    assert not running.customers.GetCustomer(GetCustomerRequest(customer_id="new")).interactions
    anonymous = {"anonymous_id": "device-7", "channel": "kiosk"}
    money = Money(currency_code="EUR", amount=20)
    record(running, viewed("", "eggs", type="purchase", money=money, **anonymous))
    record(running, viewed("", "unheard-of", initiator=INITIATOR_COMPANY, **anonymous))
    request = GetCustomerRequest(anonymous_id="device-7")
    newest, oldest = running.customers.GetCustomer(request).interactions
    assert (newest.type, newest.channel, newest.item_id) == ("view", "other", "")
    assert newest.initiator == INITIATOR_COMPANY
    assert (oldest.type, oldest.item_id, oldest.item_name) == ("purchase", "eggs", "Eggs")
    assert oldest.initiator == INITIATOR_CUSTOMER
    assert oldest.approximate_amount == pytest.approx(20, rel=0.06)
    assert NEW_YEAR < oldest.event_time.seconds < newest.event_time.seconds


def test_nothing_of_a_bad_batch_is_written(running: Running, customer: str) -> None:
    with pytest.raises(grpc.RpcError):
        record(running, viewed(customer, "eggs"), viewed(customer, "eggs", type="stare"))
    assert decide(running, customer).freshness.interactions_seen == 0


def test_a_model_that_cannot_run_leaves_popularity(running: Running, customer: str) -> None:
    record(running, viewed(customer, "eggs"))
    reply = decide(running, customer, channel="kiosk", k=2, excluded_item_ids=["eggs"])
    assert offered(reply) == ["flour", "dates"]
    assert reply.freshness.degradation_level == DEGRADATION_LEVEL_POPULARITY
    assert reply.freshness.interactions_seen == 0
    reply = decide(running, customer, channel="hologram", k=2)
    assert offered(reply) == ["cheese", "bread"]
    assert (reply.candidates[0].score, list(reply.intents)) == (0, [])
