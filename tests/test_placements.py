"""What may be offered by the policy: rules, what is owned, and what a placement boosts and pins."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from interplay.v1.catalog_service_pb2 import DeleteItemsRequest, Item, UpsertItemsRequest
from interplay.v1.decision_service_pb2 import ExplainDecisionRequest, ExplainDecisionResponse
from interplay.v1.personalization_service_pb2 import Boost, DecideInteractionResponse, NoAction

from features.settings import Home
from tests.artefacts import publish, write_artefact
from tests.policies import EVEN
from tests.running import Running, add_items, asked, decide, offered, record, viewed

POLICY = """
pool: 2
eligibility:
  rule: '!("adult" in tags) || age >= 18'
  owned: {types: [purchase], unless: 'category == "food"'}
placements:
  checkout:
    filter: 'price < 20'
    exclude: [bread]
    boost: [{filter: 'brand == "Alpina"', factor: 2.0}]
    most: 2
  home: {pin: [flour, dates, apple]}
"""
ITEMS: dict[str, dict[str, Any]] = {
    "apple": {"category": "food", "price": 1.0},
    "bread": {"category": "food", "price": 2.0},
    "cheese": {"price": 3.0, "brand": "Alpina"},
    "dates": {"price": 40.0, "brand": "Alpina"},
    "eggs": {"price": 5.0},
    "flour": {"price": 6.0, "tags": ["adult"]},
}


@pytest.fixture(scope="module")
def own(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    policy = tmp_path_factory.mktemp("policy") / "policy.yaml"
    policy.write_text(EVEN.read_text() + POLICY)
    with Running(home, policy=policy) as server:
        items = [_item(item_id, **fields) for item_id, fields in ITEMS.items()]
        server.catalog.UpsertItems(UpsertItemsRequest(items=items))
        yield server


def _item(item_id: str, price: float, **fields: Any) -> Item:
    item = Item(item_id=item_id, **fields)
    item.price.amount, item.price.currency_code = price, "EUR"
    return item


def explained(running: Running, reply: DecideInteractionResponse) -> ExplainDecisionResponse:
    request = ExplainDecisionRequest(decision_id=reply.decision_id, item_id="flour")
    return running.decisions.ExplainDecision(request)


def test_a_rule_asks_for_the_customer(own: Running, customer: str) -> None:
    for age, allowed in ((None, False), (17, False), (18, True), (150, True)):
        known = {} if age is None else {"age": age}
        reply = decide(own, customer, k=6, **known)
        assert ("flour" in offered(reply)) is allowed
    told = explained(own, decide(own, customer, k=6, age=17))
    assert told.item.ending == "rule"
    assert [(each.reason, each.count) for each in told.kept_out] == [("rule", 1)]


def test_a_filter_may_ask_for_the_region(own: Running, customer: str) -> None:
    rule = 'region in ["DE", "AT"] || price < 2'
    assert offered(decide(own, customer, filter=rule, region="FR")) == ["apple"]
    assert len(offered(decide(own, customer, filter=rule, region="AT"))) == 5


def test_what_is_owned_is_not_offered_until_it_is_given_back(own: Running, customer: str) -> None:
    bought = [viewed(customer, each, type="purchase") for each in ("cheese", "apple")]
    record(own, *bought)
    reply = decide(own, customer, k=6)
    assert set(offered(reply)) == {"apple", "bread", "dates", "eggs"}  # food may be had again
    kept_out = {each.reason: each.count for each in explained(own, reply).kept_out}
    assert kept_out == {"owned": 1, "rule": 1}
    record(own, viewed(customer, "cheese", type="return"))
    assert "cheese" in offered(decide(own, customer, k=6))
    other = f"{customer}-other"
    no = viewed(other, "", type="opt-out", attributes={"purpose": "personalization"})
    record(own, viewed(other, "cheese", type="purchase"), no)
    assert "cheese" in offered(decide(own, other, k=6))  # then the history does not count


def test_a_placement_has_rules_of_its_own(own: Running, customer: str) -> None:
    reply = decide(own, customer, placement="checkout", k=6, age=20)
    assert offered(reply) == ["cheese", "apple"]  # boosted; dates cost too much, bread is out
    cheese, apple = reply.candidates
    assert (cheese.boost, apple.boost) == (2.0, 0.0)
    assert cheese.value == pytest.approx(cheese.customer_value + cheese.company_value)
    assert apple.value == pytest.approx((apple.customer_value + apple.company_value) / 2)
    (first, *_) = explained(own, reply).considered
    assert (first.item_id, first.boost, first.pinned) == ("cheese", 2.0, False)


def test_a_request_boosts_what_the_model_ranks_low(own: Running, customer: str) -> None:
    record(own, viewed(customer, "bread"), viewed(customer, "bread"))
    assert offered(decide(own, customer, k=1)) == ["bread"]
    by_item, by_filter = Boost(item_id="eggs", factor=50), Boost(filter="price == 5", factor=50)
    for boost in (by_item, by_filter):
        (candidate,) = decide(own, customer, k=1, boosts=[boost]).candidates
        assert (candidate.item_id, candidate.boost) == ("eggs", 50)


def test_what_is_pinned_stands_first_where_it_may_be_offered(own: Running, customer: str) -> None:
    record(own, viewed(customer, "bread"))
    reply = decide(own, customer, placement="home", k=3)
    assert offered(reply) == ["dates", "apple", "bread"]  # flour is for adults
    assert [each.pinned for each in reply.candidates] == [True, True, False]
    assert [each.propensity for each in reply.candidates] == [1, 1, 1]
    reply = decide(own, customer, placement="home", k=3, age=20, pinned_item_ids=["eggs"])
    assert offered(reply) == ["eggs", "flour", "dates"]
    assert "It is pinned there." in explained(own, reply).sentences[2]
    excluded = decide(own, customer, placement="home", k=1, excluded_item_ids=["dates"])
    assert offered(excluded) == ["apple"]
    only = decide(own, customer, candidate_item_ids=["eggs"], pinned_item_ids=["apple"])
    assert offered(only) == ["eggs"]


def test_silence_has_its_reason(own: Running, customer: str) -> None:
    reply = decide(own, customer, candidate_item_ids=["flour"])
    assert reply.no_action.reason == NoAction.REASON_NOT_ELIGIBLE


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"age": 151}, "age is 151: must be 0 to 150"),
        ({"region": "x" * 65}, "region is "),
        ({"pinned_item_ids": ["a"] * 11}, "pinned_item_ids is 11 entries: must be 0 to 10 entries"),
        ({"pinned_item_ids": ["a", ""]}, "pinned_item_ids[1] is '': must not be empty"),
        ({"boosts": [Boost(item_id="a")]}, "boosts[0].factor is 0.0: must be more than 0"),
        ({"boosts": [Boost(item_id="a", factor=float("nan"))]}, "boosts[0].factor is nan"),
        ({"boosts": [Boost(factor=1)]}, "boosts[0].item_id is neither is set: one of filter and"),
        ({"boosts": [Boost(factor=1, filter="a < 1")]}, "boosts[0].filter is 'a': position 1: exp"),
        ({"boosts": [Boost(factor=1)] * 21}, "boosts is 21 entries: must be 0 to 20"),
        ({"pinned_item_ids": ["x"], "strict_item_ids": True}, "pinned_item_ids[0] is 'x': unknown"),
    ],
)
def test_what_is_wrong_is_told_with_field_and_value(
    own: Running, fields: dict[str, object], told: str
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        own.personalization.DecideInteraction(asked(**fields))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert told in (refused.value.details() or "")


def test_new_items_are_drawn_though_the_model_ranks_them_last(
    home: Path, tmp_path: Path, customer: str
) -> None:
    policy = tmp_path / "policy.yaml"
    exploration = "exploration: {share: 1.0, places: 1, new_items: 0.5}"
    policy.write_text(f"{EVEN.read_text()}\npool: 2\n{exploration}\n")
    with Running(home, policy=policy) as server:
        items = [Item(item_id=each) for each in ("honey", "lemons")]
        server.catalog.UpsertItems(UpsertItemsRequest(items=items))
        record(server, *(viewed(customer, each) for each in ("eggs", "flour", "eggs")))
        replies = [decide(server, customer, k=1).candidates[0] for _ in range(60)]
        (row,) = {len(explained(server, decide(server, customer, k=1)).considered)}
        server.catalog.DeleteItems(DeleteItemsRequest(item_ids=["honey", "lemons"]))
        alone = decide(server, customer, k=1).candidates[0]
    seen = {each.item_id: each.propensity for each in replies}
    # Half of the time one of the two new ones, else one of the two that the model likes most.
    assert seen == dict.fromkeys(("eggs", "flour", "honey", "lemons"), 0.25)
    assert row == 4
    assert alone.propensity == 0.5


def test_what_the_model_has_seldom_met_is_new(tmp_path: Path, customer: str) -> None:
    add_items(tmp_path)
    counts = (9, 9, 9, 4, 9, 9)  # of dates; the bound is 5
    publish(Home(tmp_path), write_artefact(tmp_path / "artefact", counts=counts))
    policy = tmp_path / "policy.yaml"
    exploration = "exploration: {share: 1.0, places: 1, new_items: 0.5, new_below: 5}"
    policy.write_text(f"{EVEN.read_text()}\npool: 2\n{exploration}\n")
    with Running(tmp_path, policy=policy) as server:
        server.catalog.UpsertItems(UpsertItemsRequest(items=[Item(item_id="honey")]))
        record(server, *(viewed(customer, each) for each in ("eggs", "flour", "eggs")))
        replies = [decide(server, customer, k=1).candidates[0] for _ in range(60)]
    seen = {each.item_id: each.propensity for each in replies}
    # Half of the time one of those two that are new, else one of the two that the model likes most.
    assert seen == dict.fromkeys(("eggs", "flour", "dates", "honey"), 0.25)
