"""Live items over a real channel: what is written to the catalog competes in the next answer."""

from pathlib import Path

import pytest
from interplay.v1.catalog_service_pb2 import DeleteItemsRequest, Item, UpsertItemsRequest
from interplay.v1.interaction_pb2 import Money
from interplay.v1.personalization_service_pb2 import DEGRADATION_LEVEL_POPULARITY

from tests.artefacts import ITEM_IDS
from tests.running import Running, add_items, decide, offered, record, viewed

EUROS = Money(currency_code="EUR", amount=3)


def upsert(running: Running, *items: Item) -> None:
    running.catalog.UpsertItems(UpsertItemsRequest(items=items))


def delete(running: Running, *item_ids: str) -> None:
    running.catalog.DeleteItems(DeleteItemsRequest(item_ids=item_ids))


def test_a_new_item_competes_at_once_and_a_deleted_one_no_more(
    running: Running, customer: str
) -> None:
    assert offered(decide(running, customer, candidate_item_ids=["grapes"])) == []
    upsert(running, Item(item_id="grapes", name="Green grapes"))
    alone = decide(running, customer, candidate_item_ids=["grapes"])
    assert [each.name for each in alone.candidates] == ["Green grapes"]
    assert 0 < alone.candidates[0].score < 1
    assert offered(decide(running, customer)) == [*ITEM_IDS, "grapes"]
    assert offered(decide(running, customer, k=7, excluded_item_ids=["apple"]))[-1] == "grapes"
    delete(running, "grapes")
    assert offered(decide(running, customer)) == list(ITEM_IDS)
    assert offered(decide(running, customer, candidate_item_ids=["grapes"])) == []


def test_what_was_done_with_a_new_item_counts(running: Running, customer: str) -> None:
    record(running, viewed(customer, "honey"))
    upsert(running, Item(item_id="honey"))
    assert offered(decide(running, customer, k=2)) == ["honey", "apple"]
    delete(running, "honey")
    assert offered(decide(running, customer, k=2)) == ["apple", "bread"]


def test_what_another_process_writes_competes_after_a_sweep(
    running: Running, home: Path, customer: str
) -> None:
    add_items(home, "ice", "jam")  # as an import does, beside the running server
    assert offered(decide(running, customer)) == list(ITEM_IDS)
    running.sweep()
    assert offered(decide(running, customer)) == [*ITEM_IDS, "ice", "jam"]
    delete(running, "ice", "jam")


def test_many_new_items_find_room(running: Running, customer: str) -> None:
    new = [f"new-{number}" for number in range(200)]
    upsert(running, *(Item(item_id=each) for each in new))
    reply = decide(running, customer, k=100, excluded_item_ids=[*ITEM_IDS, *new[:120]])
    assert offered(reply) == new[120:]
    delete(running, *new)
    assert offered(decide(running, customer)) == list(ITEM_IDS)


def test_a_filter_says_which_items_compete(running: Running, customer: str) -> None:
    upsert(
        running,
        Item(item_id="bread", category="food", tags=["new"], price=EUROS),
        Item(item_id="flour", category="food", price=EUROS),
        Item(item_id="kiwis", category="food", tags=["new", "outlet"], price=EUROS),
    )
    assert offered(decide(running, customer, filter='category == "food"')) == [
        *("bread", "flour", "kiwis"),
    ]
    new = 'price < 3.5 && "new" in tags'
    assert offered(decide(running, customer, filter=new)) == ["bread", "kiwis"]
    assert offered(decide(running, customer, filter=f'{new} && !("outlet" in tags)')) == ["bread"]
    assert offered(decide(running, customer, filter=new, excluded_item_ids=["bread"])) == ["kiwis"]
    among = ["apple", "kiwis"]
    assert offered(decide(running, customer, filter=new, candidate_item_ids=among)) == ["kiwis"]
    upsert(running, Item(item_id="bread", unavailable=True, tags=["new"], price=EUROS))
    upsert(running, Item(item_id="apple", tags=["new"], price=EUROS))
    delete(running, "kiwis")
    assert offered(decide(running, customer, filter=new)) == ["apple"]
    assert offered(decide(running, customer, filter='brand == "unheard-of"')) == []
    upsert(running, *(Item(item_id=each, name=each.title()) for each in ITEM_IDS))
    assert offered(decide(running, customer)) == list(ITEM_IDS)


@pytest.mark.parametrize(
    ("restriction", "expected"),
    [
        ({"filter": 'category == "eggs"'}, ["eggs", "dates", "lemons"]),
        ({"candidate_item_ids": ["lemons", "dates", "unheard-of"]}, ["dates", "lemons"]),
        ({"filter": 'category == "eggs"', "excluded_item_ids": ["dates"]}, ["eggs", "lemons"]),
    ],
)
def test_popularity_too_keeps_to_what_competes(
    running: Running, customer: str, restriction: dict[str, object], expected: list[str]
) -> None:
    upsert(running, *(Item(item_id=each, category="eggs") for each in ("dates", "eggs", "lemons")))
    reply = decide(running, customer, channel="kiosk", **restriction)
    assert reply.freshness.degradation_level == DEGRADATION_LEVEL_POPULARITY
    assert offered(reply) == expected
