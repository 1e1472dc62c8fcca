"""Items that nothing has been learnt of are as likely as known ones would be, were they new."""

import numpy as np
import pytest
import torch

from features.encoding import FIRST_ITEM_ROW
from tests.sequences import ITEMS, plan, shoppers
from tests.shop import CPU, batches_of
from tests.test_model import trembling
from training.data.windows import Batch
from training.learning.learner import tensors_of
from training.learning.plan import new_model
from training.learning.unseen import settle
from training.model.model import Model

COUNT_V = np.array([40, 40, 3, 40, 0, 40])  # item 2 was seldom seen, item 4 never


@pytest.fixture
def model() -> Model:
    return trembling(new_model(plan(reach=0)))


def questions() -> list[Batch]:
    return batches_of(shoppers(40), ITEMS, 0, 64)


@torch.no_grad()
def expected_of(model: Model, own_D: torch.Tensor, bias: float) -> tuple[float, int]:
    """How often such an item, one for each known one, would come; and how often those came."""
    expected, came = 0.0, 0
    for batch in questions():
        tokens_BLF, context_BLC, type_BL, row_BL = tensors_of(batch, CPU)
        named_BL = (type_BL >= 0) & (row_BL >= FIRST_ITEM_ROW)
        state_ND = model(tokens_BLF, context_BLC, model.items()).state_BQD[named_BL]
        wish_ND = model.wish(state_ND) + model.type_TD[type_BL[named_BL]]
        weight_NV = (wish_ND @ model.items()[FIRST_ITEM_ROW:].T + model.items.bias_V).exp()
        share_N = (wish_ND @ own_D + bias).exp() / weight_NV.sum(1)
        expected += float(share_N.sum()) * np.count_nonzero(COUNT_V)
        came += int((row_BL[named_BL] != FIRST_ITEM_ROW + 4).sum())
    return expected, came


def test_an_item_that_was_never_seen_is_taken_for_a_seldom_seen_one(model: Model) -> None:
    before_RD = model.items.own.weight.detach().clone()
    bias = settle(model, COUNT_V, questions())
    changed_R = (model.items.own.weight != before_RD).any(1)
    assert changed_R.nonzero().flatten().tolist() == [FIRST_ITEM_ROW + 4]
    assert torch.equal(model.items.own.weight[FIRST_ITEM_ROW + 4], before_RD[FIRST_ITEM_ROW + 2])
    assert model.items.bias_V[4].item() == pytest.approx(bias)


def test_known_items_taken_for_new_ones_are_expected_as_often_as_they_came(model: Model) -> None:
    before = {name: each.clone() for name, each in model.state_dict().items()}
    bias = settle(model, COUNT_V, questions())
    assert bias is not None
    own_D = model.items.own.weight[FIRST_ITEM_ROW + 4].clone()
    model.load_state_dict(before)
    expected, came = expected_of(model, own_D, bias)
    assert expected == pytest.approx(came, rel=1e-4)


def test_without_questions_nothing_is_changed(model: Model) -> None:
    before_RD = model.items.own.weight.detach().clone()
    assert settle(model, COUNT_V, []) is None
    assert torch.equal(model.items.own.weight, before_RD)
