"""Content: what training and serving read from a description, and that it is the same."""

import numpy as np
import pytest
import torch

from features.content import MAX_FEATURES, Content, content_rows, features_of
from features.encoding import FIRST_ITEM_ROW, UNKNOWN_ITEM_ROW
from features.item import Item
from training.data.items import describe
from training.export.companions import content_of
from training.model.items import Items

SHOES = [
    Item(item_id="a", name="Trail shoe", category="shoes", brand="Alpina", price=99.0),
    Item(item_id="b", name="Town shoe", category="shoes", brand="Corsa", price=101.0),
    Item(item_id="c", name="Trail sock", category="socks", tags=("wool", "new"), price=9.0),
    Item(item_id="d", name="Town sock", category="socks", tags=("wool",), brand="Alpina"),
]


def untrained(count_V: np.ndarray) -> tuple[Items, Content]:
    known = describe(SHOES)
    content_VW = torch.from_numpy(known.content_VW)
    items = Items(content_VW, buckets=known.buckets, width=8, as_new=0.0)
    with torch.no_grad():
        items.bias_V += torch.arange(4)
        items.content.weight.normal_()
    return items, content_of(items, known.feature_H, count_V)


def test_serving_and_training_make_the_same_vector_of_a_description() -> None:
    items, content = untrained(np.ones(4, int))
    own_VD = items.own.weight[FIRST_ITEM_ROW:]
    content_VD = (items()[FIRST_ITEM_ROW:] - own_VD).detach().numpy()
    served_VD = content.vectors(SHOES)[:, :-1] - content.cold_D1[:-1]
    assert np.abs(served_VD).min() > 0
    assert np.abs(served_VD - content_VD).max() < 1e-6


def test_an_unseen_item_is_like_those_that_are_seldom_seen() -> None:
    items, content = untrained(np.array([0, 1, 5, 6]))
    own_VD = items.own.weight[FIRST_ITEM_ROW:].detach().numpy()
    vector_D1 = content.vectors([Item(item_id="new")])[0]
    assert vector_D1[:-1] == pytest.approx((own_VD[1] + own_VD[2]) / 2, abs=1e-6)
    assert vector_D1[-1] == 1.5
    never = untrained(np.zeros(4, int))[1]
    assert never.cold_D1[-1] == 1.5  # (0 + 1 + 2 + 3) / 4


def test_items_taken_for_new_have_nothing_of_their_own() -> None:
    known = describe([*SHOES, Item(item_id="e")])  # of the last nothing is known
    content_VW = torch.from_numpy(known.content_VW)
    items = Items(content_VW, buckets=known.buckets, width=8, as_new=1.0)
    bias_R = torch.arange(-3.0, 5.0)
    vector_RD, some_R, new_R = items.learnt(items.own.weight, bias_R)
    assert new_R.tolist() == [*[False] * 3, *[True] * 4, False]
    unknown_D = items.own.weight[UNKNOWN_ITEM_ROW]
    expected_VD = unknown_D + items.content(content_VW[:4])
    torch.testing.assert_close(vector_RD[FIRST_ITEM_ROW:-1], expected_VD)
    assert some_R.tolist() == [-3, -2, -1, 0, 0, 0, 0, 4]
    assert torch.equal(vector_RD[-1], items()[-1])
    # That is what is served of a new one; and once it has learnt, all are themselves.
    cold_D1 = content_of(items, known.feature_H, np.ones(5, int)).cold_D1
    np.testing.assert_array_equal(cold_D1, [*unknown_D.tolist(), 0])
    vector_RD, some_R, _ = items.eval().learnt(items.own.weight, bias_R)
    assert torch.equal(vector_RD, items()) and torch.equal(some_R, bias_R)


def test_what_training_did_not_know_adds_nothing() -> None:
    _, content = untrained(np.ones(4, int))
    plain, *others = content.vectors(
        [
            Item(item_id="x", category="shoes"),
            Item(item_id="y", category="shoes", brand="Unheard of", tags=("unheard", "of")),
            Item(item_id="z", category="shoes", tags=("new",)),  # only one item had it
            Item(item_id="q", category="shoes", tags=("wool",)),
        ]
    )
    assert [np.array_equal(plain, each) for each in others] == [True, True, False]


def test_the_most_telling_features_come_first() -> None:
    tags = tuple(f"t{number}" for number in range(30))
    features = features_of(Item(item_id="a", category="shoes", tags=tags))
    (row,) = content_rows([features], set(features[1:]), 64).tolist()
    assert row == [1 + each % 63 for each in features[1 : 1 + MAX_FEATURES]]


def test_many_are_made_as_each_alone() -> None:
    _, content = untrained(np.ones(4, int))
    many = content.vectors(SHOES * 600)
    assert many.shape == (2400, 9)
    assert many.dtype == np.float32
    assert np.array_equal(many[-1], content.vectors(SHOES[-1:])[0])
    assert content.vectors([]).shape == (0, 9)
