"""The item axis: known items keep their places, fresh ones find room behind them."""

import numpy as np

from features.artefact import ABSENT
from features.content import Content, features_of
from features.encoding import ITEM, ItemIndex, encode
from features.item import Item
from features.record import pack
from features.vocabulary import load_vocabulary
from serving.items.axis import LEAST_ROOM
from serving.items.catalog import Catalog
from tests.interactions import interaction

KNOWN = ItemIndex(("a", "b"))
(SHOES,) = features_of(Item(item_id="", category="shoes"))
CONTENT = Content(
    table_GD=np.array([[0, 0], [4, 5], [4, 5]]),
    cold_D1=np.array([1, 2, 3]),
    known_H=np.array([SHOES], np.uint32),
)


def numbered(*numbers: int) -> list[Item]:
    return [Item(item_id=f"x{number}", price=number) for number in numbers]


def offered(catalog: Catalog) -> list[str]:
    return sorted(catalog.axis.item_ids(np.flatnonzero(catalog.axis.available_V).tolist()))


def test_a_fresh_item_has_the_vector_of_its_description() -> None:
    catalog = Catalog([Item(item_id="a")], KNOWN, CONTENT)
    catalog.put([Item(item_id="new", category="shoes"), Item(item_id="plain", category="socks")])
    assert offered(catalog) == ["a", "new", "plain"]
    assert catalog.axis.fresh_ND1[:2].tolist() == [[5, 7, 3], [1, 2, 3]]
    assert (catalog.axis.fresh_ND1[2:, -1] == np.float32(ABSENT)).all()
    catalog.put([Item(item_id="new", unavailable=True)])
    assert offered(catalog) == ["a", "plain"]
    assert catalog.axis.fresh_ND1[0].tolist() == [1, 2, 3]


def test_a_deleted_item_is_offered_no_more_and_may_come_back() -> None:
    catalog = Catalog([Item(item_id="a"), Item(item_id="new", category="shoes")], KNOWN, CONTENT)
    place = catalog.axis.place("new")
    catalog.remove(["new", "a", "unheard-of"])
    assert offered(catalog) == []
    assert (catalog.axis.fresh_ND1[:, -1] == np.float32(ABSENT)).all()
    catalog.put([Item(item_id="new")])
    assert (catalog.axis.place("new"), offered(catalog)) == (place, ["new"])


def test_without_content_only_known_items_have_a_place() -> None:
    catalog = Catalog([Item(item_id="a"), Item(item_id="new")], KNOWN)
    assert (offered(catalog), catalog.axis.place("new")) == (["a"], None)
    assert len(catalog.axis.available_V) == 2


def test_room_doubles_and_all_that_was_known_stays() -> None:
    tagged = Item(item_id="b", category="shoes", tags=("t1", "t2"), price=7)
    catalog = Catalog([tagged], KNOWN, CONTENT)
    before = catalog.axis
    assert before.room == LEAST_ROOM == 64
    catalog.put(numbered(*range(64)))
    assert catalog.axis is before
    catalog.put([Item(item_id="last", category="shoes")])
    after = catalog.axis
    assert after.room == 128  # 65 items, and some to spare
    assert len(before.available_V) == 66
    assert offered(catalog) == sorted(["b", "last", *(f"x{number}" for number in range(64))])
    assert [after.place(each) for each in ("a", "b", "x0", "x63", "last")] == [0, 1, 2, 65, 66]
    assert np.array_equal(after.fresh_ND1[:64], before.fresh_ND1)
    assert after.columns.price_V[[1, 2, 65]].tolist() == [7, 0, 63]
    assert np.array_equal(after.columns.term_WV[:, :66], before.columns.term_WV)


def test_items_that_come_and_go_take_no_more_room() -> None:
    catalog = Catalog([Item(item_id="stays")], KNOWN, CONTENT)
    for round_ in range(40):
        few = numbered(*range(10 * round_, 10 * round_ + 10))
        catalog.put(few)
        catalog.remove([each.item_id for each in few])
    assert catalog.axis.room == 64
    assert offered(catalog) == ["stays"]


def test_a_history_names_fresh_items() -> None:
    catalog = Catalog(numbered(*range(100)), KNOWN, CONTENT)
    vocabulary, ids = load_vocabulary(), ("x1", "a", "unheard-of", "x99")
    records = [pack(interaction(n, item_id=each), vocabulary) for n, each in enumerate(ids)]
    tokens_BLF, _ = encode(
        [b"".join(records)],
        [1],
        np.array([10**12]),
        items=KNOWN,
        max_length=9,
        fresh=catalog.axis.fresh,
    )
    # 3 special rows, then the two known items, then the fresh ones.
    assert tokens_BLF[0, :, ITEM].tolist() == [3 + 2 + 1, 3, 2, 3 + 2 + 99]
