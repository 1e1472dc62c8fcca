"""A warm start: known items keep their rows, new ones follow, old answers are left out."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from features.content import content_rows, features_of
from features.encoding import FIRST_ITEM_ROW, ItemIndex
from features.item import Item
from tests.sequences import DAY, ITEMS, SPLIT, on_day, packed, plan, sequences
from training.data.items import describe
from training.data.questions import NONE, Asking, ask
from training.data.split import Split
from training.data.steps import NO_STEPS, most_frequent
from training.learning.plan import Plan, new_model
from training.learning.start import BIAS, OWN, Start, keep_weights, only_new

COLD_D1 = np.arange(17.0)
GROWN = ItemIndex((*ITEMS.item_ids, "new", "newer"))


def start(folder: Path, learnt: Split = SPLIT) -> Start:
    """From a model of the small shop."""
    model = new_model(plan())
    keep_weights(model, folder)
    with np.load(folder / "weights.npz") as file:
        weights = {name: file[name] for name in file.files}
    return Start(
        version="1",
        item_ids=ITEMS.item_ids,
        buckets=2,
        weights=weights,
        cold_D1=COLD_D1,
        learnt=learnt,
    )


def grown_plan(**changes: object) -> Plan:
    """The small shop with two items more."""
    known = describe([Item(item_id=each) for each in GROWN.item_ids], buckets=2)
    followers = most_frequent(NO_STEPS, 8, most=3)
    return dataclasses.replace(plan(seed=2, **changes), known=known, followers=followers)


def test_known_items_keep_their_rows_and_new_ones_get_what_seldom_seen_ones_have(
    tmp_path: Path,
) -> None:
    begun = start(tmp_path)
    model = new_model(dataclasses.replace(grown_plan(), start=begun.grown(8)))
    own_RD, bias_V = model.items.own.weight.detach(), model.items.bias_V.detach()
    old = FIRST_ITEM_ROW + 6
    assert torch.equal(own_RD[:old], torch.from_numpy(begun.weights[OWN]))
    assert own_RD[old:].tolist() == [list(range(16))] * 2
    assert torch.equal(bias_V[:6], torch.from_numpy(begun.weights[BIAS]))
    assert bias_V[6:].tolist() == [16.0, 16.0]


def test_all_else_is_as_it_was_whatever_the_seed(tmp_path: Path) -> None:
    begun = start(tmp_path)
    model = new_model(dataclasses.replace(grown_plan(), start=begun.grown(8)))
    same = {
        name: torch.equal(each.detach(), torch.from_numpy(begun.weights[name]))
        for name, each in model.named_parameters()
        if name not in (OWN, BIAS)
    }
    assert set(same.values()) == {True}
    assert len(same) > 20


def test_a_model_of_another_shape_is_told_apart(tmp_path: Path) -> None:
    begun = start(tmp_path).grown(8)
    assert begun.misfits(new_model(grown_plan())) == []
    assert "items.own.weight" in begun.misfits(new_model(grown_plan(width=32)))
    deeper = begun.misfits(new_model(grown_plan(blocks=3)))
    assert any(name.startswith("blocks.2.") for name in deeper)


def test_content_keeps_its_buckets_when_the_catalog_grows() -> None:
    shoes = [Item(item_id=f"i{each}", category="shoes", brand=f"b{each % 3}") for each in range(9)]
    few = describe(shoes[:6])
    more = [Item(item_id=f"j{each}", category=f"c{each // 2}") for each in range(99)]
    many = describe([*shoes, *more], few.buckets)
    assert many.buckets == few.buckets < describe([*shoes, *more]).buckets
    assert many.content_VW[:6, :2].tolist() == few.content_VW[:6, :2].tolist()
    known = set(many.feature_H.tolist())
    assert content_rows([features_of(shoes[0])], known, few.buckets)[0, 0] == few.content_VW[0, 0]


def test_items_that_come_first_come_first() -> None:
    known = describe([Item(item_id=each) for each in ("z", "a", "m")])
    assert known.index.item_ids == ("z", "a", "m")


@pytest.fixture
def nobody_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.learning.start.REPLAYED", 0.0)


def asked(*days: float) -> list[bool]:
    """At which positions of a customer who came on these days something is learnt."""
    begin = SPLIT.end_tick - 100 * DAY  # of 2026, about
    learnt = Split(
        validation_tick=begin + 60 * DAY, test_tick=begin + 60 * DAY, end_tick=begin + 60 * DAY
    )
    some = sequences(packed(*(on_day(day, number) for number, day in enumerate(days))))
    rng = np.random.default_rng(0)
    questions = ask(some, plan().types, Asking(horizon_ticks=7 * DAY, arrivals=1.0), rng)
    new = only_new(questions, some, learnt, horizon_ticks=7 * DAY, rng=rng)
    return (new.type_P != NONE).tolist()


@pytest.mark.usefixtures("nobody_replayed")
def test_what_was_answered_before_is_not_learnt_again() -> None:
    # Asked as they come on days 10, 50, 54, 62 and 70; learnt until day 60, less a horizon: 53.
    assert asked(10, 50, 54, 62, 70)[:5] == [False, False, True, True, True]


def test_of_some_customers_all_is_learnt_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.learning.start.REPLAYED", 1.0)
    assert asked(10, 50, 54, 62, 70)[:5] == [True, True, True, True, True]
