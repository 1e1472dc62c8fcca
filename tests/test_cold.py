"""Cold starts are made by hiding: nothing of what is hidden is known before the test."""

import numpy as np

from benchmarks.hidden import Hidden, draw_hidden, without_hidden
from benchmarks.newcomers import Asking, counted_ranks, ranks_by_channel
from features.item import Item
from features.record import item_hashes, unpack
from tests.contests import counts_of_shop
from tests.sequences import ITEMS, SPLIT, on_day, packed, plan
from training.judging.baselines import Counts
from training.judging.examples import Examples

HIDDEN = Hidden(np.arange(6) == 2, item_hashes(["i2"]), frozenset({"c1"}))
TEST_DAY = 80


def days_left(history: bytes, *, is_hidden: bool) -> list[int]:
    """On which days of 2026 a customer is still seen, counted from the test."""
    ticks = unpack(without_hidden(history, HIDDEN, SPLIT, is_hidden)).tick
    return ((ticks - SPLIT.test_tick) // (86_400 * 256)).tolist()


def test_hidden_items_and_customers_appear_with_the_test() -> None:
    history = packed(*(on_day(TEST_DAY + day, item) for day, item in [(-9, 1), (-5, 2), (0, 2)]))
    assert days_left(history, is_hidden=False) == [-9, 0]
    assert days_left(history, is_hidden=True) == [0]


def test_the_same_seed_hides_the_same() -> None:
    names = [f"c{each}" for each in range(1000)]
    one, same, other = (draw_hidden(plan().known, names, 0.3, seed) for seed in (1, 1, 2))
    assert one.customers == same.customers != other.customers
    assert 250 < len(one.customers) < 350
    assert one.item_V.tolist() == same.item_V.tolist()
    assert item_hashes(ITEMS.item_ids)[one.item_V].tolist() == one.hashes.tolist()


def examples(*histories: bytes, item: str, channel: int) -> Examples:
    """The same item came next to all."""
    count = len(histories)
    return Examples(
        histories,
        np.full(count, channel),
        np.full(count, SPLIT.test_tick),
        np.zeros(count, np.int64),
        np.repeat(item_hashes([item]), count),
        np.arange(count, dtype=np.uint32),
    )


def counts(*popularity: int, **by_channel: list[int]) -> Counts:
    """Of the shop, but for how popular its items are."""
    known = counts_of_shop()
    channels = {int(name[1:]): np.array(count_V) for name, count_V in by_channel.items()}
    return Counts(
        known.items,
        np.array(popularity),
        channels,
        known.steps,
        known.answer_XU,
        known.neighbourhood,
    )


def test_a_new_item_is_as_popular_as_its_category() -> None:
    some = examples(packed(on_day(1, 4)), packed(on_day(1, 0)), b"", item="i2", channel=1)
    hidden_V = np.isin(np.arange(6), [2, 3])
    hidden = Hidden(hidden_V, item_hashes(["i2", "i3"]), frozenset())
    asking = Asking(some, ITEMS, hidden, np.array([2, 2, 2]), np.array([2, 3]))
    described = tuple(Item(item_id=f"i{each}", category="abacab"[each]) for each in range(6))
    found = counted_ranks(asking, counts(9, 5, 0, 0, 7, 3), described)
    among_all, among_new = found["by popularity of the category"]
    # i0 9, i2 8 as i0 and i4 have, i4 7, i1 5, i3 0; what a customer has met is left out.
    assert among_all.tolist() == [2.0, 1.0, 2.0]
    assert among_new.tolist() == [1.0, 1.0, 1.0]
    _, chance = found["by chance"]
    assert set(chance.tolist()) <= {1.0, 2.0}


def test_the_customers_own_categories_come_first() -> None:
    some = examples(packed(on_day(1, 1)), packed(on_day(1, 0)), item="i2", channel=1)
    hidden = Hidden(np.arange(6) == 2, item_hashes(["i2"]), frozenset())
    asking = Asking(some, ITEMS, hidden, np.array([2, 2]), np.array([2]))
    described = tuple(Item(item_id=f"i{each}", category="abbccc"[each]) for each in range(6))
    among_all, _ = counted_ranks(asking, counts(9, 0, 0, 8, 8, 8), described)[
        "by the customer's categories"
    ]
    assert among_all[0] == 1  # but for i1, which is met, the only one of its category
    assert among_all[1] > 3


def test_popularity_of_the_channel_comes_before_that_of_all() -> None:
    known = counts(9, 5, 1, 0, 0, 0, c1=[0, 0, 1, 0, 0, 0])
    by_channel = [
        ranks_by_channel(known, examples(b"", item="i2", channel=channel)).tolist()
        for channel in (1, 2)
    ]
    assert by_channel == [[1.0], [3.0]]
