"""The item axis: known items keep their places, fresh ones find room behind them."""

import numpy as np

from features.artefact import ABSENT
from features.content import Content, features_of
from features.encoding import ITEM, ItemIndex, encode
from features.item import Item
from features.log.contract import ItemChange
from features.record import pack
from features.vocabulary import load_vocabulary
from serving.items.axis import LEAST_ROOM, ItemAxis
from serving.items.catalog import Catalog
from serving.items.filters import parse_filter
from serving.items.moving import Growth
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


def offered_by(catalog: Catalog, filter_text: str) -> list[str]:
    mask_V = catalog.masks.of(parse_filter(filter_text)) & catalog.axis.available_V
    return sorted(catalog.axis.item_ids(np.flatnonzero(mask_V).tolist()))


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


def test_a_longer_axis_is_filled_little_by_little_before_it_is_needed() -> None:
    axis = ItemAxis(KNOWN, CONTENT, room=1024)
    axis.put(numbered(*range(768)))
    asked: list[str] = []  # whether it is held is asked of each item that is moved

    def held(item_id: str) -> bool:
        asked.append(item_id)
        return True

    growth, moved = Growth(axis, held), [0]
    for number in range(768, 1024):
        growth.follow(axis.put(numbered(number)))
        moved.append(len(asked))
    assert moved[-1] == 1024  # all, by the time that there is no room any more
    assert max(np.diff(moved)) <= 8  # of 256 steps: four, and more for what came meanwhile
    longer = growth.finish()
    assert (longer.room, longer.used, longer.place("x1023")) == (2048, 1024, 1025)
    assert np.array_equal(longer.fresh_ND1[:1024], axis.fresh_ND1)
    assert (longer.fresh_ND1[1024:, -1] == np.float32(ABSENT)).all()


def test_what_changes_while_an_axis_grows_is_right_on_the_longer_one() -> None:
    catalog = Catalog([Item(item_id="a"), Item(item_id="b")], KNOWN, CONTENT)
    catalog.put(numbered(*range(50)))  # from 49 on a longer axis is begun
    catalog.put(numbered(*range(50, 60)))
    before = catalog.axis
    catalog.put([Item(item_id="x1", price=7, category="shoes"), Item(item_id="b", price=8)])
    catalog.remove(["a", "x2", "x3", "x59"])
    catalog.put([Item(item_id="x3", price=9, tags=("t1", "t2", "t3"))])
    catalog.put(numbered(*range(60, 66)))
    after = catalog.axis
    assert (before.room, after.room) == (64, 128)
    gone = {"a", "x2", "x59"}
    every = ["a", "b", *(f"x{number}" for number in range(66))]
    assert offered(catalog) == sorted(set(every) - gone)
    places = after.places(["x1", "b", "x3", "x65"])
    assert sorted(after.columns.price_V[places].tolist()) == [7, 8, 9, 65]
    assert after.fresh_ND1[after.places(["x1"])[0] - 2].tolist() == [5, 7, 3]
    assert offered_by(catalog, '"t3" in tags') == ["x3"]
    assert after.live == 64


def test_the_catalog_of_another_model_holds_the_same() -> None:
    items = [
        Item(item_id="a", category="shoes", tags=("t1",), price=1),
        Item(item_id="b", unavailable=True),
        *numbered(*range(100)),
    ]
    catalog = Catalog(items, KNOWN, CONTENT, position=5)
    catalog.remove(["x7"])
    other = catalog.aligned(ItemIndex(("x3", "gone", "x7", "a")), CONTENT)
    assert offered(other) == offered(catalog)
    assert (other.position, other.name("b"), other.holds("x7")) == (5, "", False)
    assert [other.axis.place(each) for each in ("x3", "gone", "x7", "a", "b")] == [0, 1, 2, 3, 4]
    assert other.axis.columns.price_V[[0, 3]].tolist() == [3, 1]
    assert offered_by(other, 'category == "shoes"') == offered_by(other, '"t1" in tags') == ["a"]
    assert offered_by(other, "price > 97") == ["x98", "x99"]
    assert other.axis.live == 99  # b, and all numbered but x3 and x7, which the model knows
    other.learn([ItemChange(6, "x3", None), ItemChange(7, "new", Item(item_id="new"))])
    assert {"x3", "new"} & set(offered(other)) == {"new"}


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


def test_new_is_what_is_fresh_or_known_from_too_few_interactions() -> None:
    counted = ItemIndex(("a", "b", "c"), np.array([0, 4, 5]))
    catalog = Catalog(numbered(1), counted, CONTENT)
    (fresh,) = catalog.axis.places(["x1"])
    for below, expected in ((0, [False] * 3), (1, [True, False, False]), (5, [True, True, False])):
        assert catalog.axis.new(below)[:3].tolist() == expected
        assert catalog.axis.new(below)[fresh]
    older = Catalog([], KNOWN, CONTENT)  # of an artefact that does not tell
    assert older.axis.new(5)[:2].tolist() == [False, False]
