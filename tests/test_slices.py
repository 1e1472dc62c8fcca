"""Slices: which examples are of which kind."""

from dataclasses import replace

import numpy as np

from features.record import item_hash
from tests.sequences import ITEMS, VOCABULARY, on_day, packed
from training.judging.examples import Examples
from training.judging.slices import seen_before, slices_of

WEB, STORE = VOCABULARY.channel_code("web"), VOCABULARY.channel_code("store")
LENGTHS = (0, 2, 3, 5, 6)
ARRIVALS = Examples(
    histories=tuple(packed(*(on_day(day, day) for day in range(n))) for n in LENGTHS),
    channel_N=np.array([WEB, WEB, WEB, STORE, WEB]),
    tick_N=np.zeros(5, np.int64),
    type_N=np.zeros(5, np.int64),
    item_N=np.array([item_hash(each) for each in ("i0", "i1", "i2", "i5", "nobody's")], np.uint64),
    customer_N=np.arange(5, dtype=np.uint32),
)
POPULARITY_V = np.array([9, 5, 0, 0, 0, 6])  # of i0 ... i5


def chosen() -> dict[str, list[int]]:
    slices = slices_of(ARRIVALS, ITEMS, POPULARITY_V, VOCABULARY)
    return {name: np.flatnonzero(chosen_N).tolist() for name, chosen_N in slices.items()}


def test_customers_are_told_apart_by_what_is_known_of_them() -> None:
    found = chosen()
    assert found["new customers"] == [0, 1]
    assert found["short histories"] == [0, 1, 2, 3]
    assert found["longer histories"] == [4]


def test_items_are_told_apart_by_how_often_they_were_seen_before() -> None:
    found = chosen()
    assert found["unseen items"] == [2, 4]  # one of the catalog, and one that is not even in it
    assert found["seldom seen items"] == [1]
    assert found["often seen items"] == [0, 3]
    assert seen_before(ARRIVALS, ITEMS, POPULARITY_V).tolist() == [9, 5, 0, 6, 0]


def test_each_channel_is_a_slice() -> None:
    found = chosen()
    assert found["channel web"] == [0, 1, 2, 4]
    assert found["channel store"] == [3]


def test_kinds_without_examples_are_left_out() -> None:
    slices = slices_of(ARRIVALS[np.array([4])], ITEMS, POPULARITY_V, VOCABULARY)
    assert list(slices) == ["longer histories", "unseen items", "channel web"]


def test_moments_at_which_no_item_comes_are_about_no_item() -> None:
    item_N = np.where(np.arange(5) == 2, 0, ARRIVALS.item_N)
    silent = replace(ARRIVALS, item_N=item_N)
    slices = slices_of(silent, ITEMS, POPULARITY_V, VOCABULARY)
    assert np.flatnonzero(slices["unseen items"]).tolist() == [4]
