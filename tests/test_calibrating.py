"""Intents that a model says too surely, or by wrong base rates, are put right."""

import pytest
import torch

from tests.sequences import ITEMS, plan, shoppers
from tests.shop import CPU, batches_of
from training.learning.calibrating import _fitted, calibrate
from training.learning.learner import Learner, counts_of, tensors_of
from training.learning.plan import new_model

SURE = 3.0  # times too sure


def questions(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """True log-odds of three types, and what came by them."""
    generator = torch.Generator().manual_seed(0)
    logit_NU = torch.randn(count, 3, generator=generator)
    right_N = torch.multinomial(logit_NU.softmax(1), 1, generator=generator)[:, 0]
    return logit_NU, right_N


def test_what_is_too_sure_is_tempered() -> None:
    logit_NU, right_N = questions(20_000)
    scale, bias_U = _fitted(SURE * logit_NU, right_N)
    assert torch.isclose(scale, torch.tensor(1 / SURE), atol=0.02)
    assert bias_U.abs().max() < 0.05


def test_wrong_base_rates_are_put_right() -> None:
    logit_NU, right_N = questions(20_000)
    wrong_U = torch.tensor([1.0, 0.0, -1.0])
    scale, bias_U = _fitted(logit_NU + wrong_U, right_N)
    assert torch.isclose(scale, torch.tensor(1.0), atol=0.03)
    assert torch.allclose(bias_U - bias_U.mean(), -wrong_U, atol=0.1)


def test_few_questions_move_biases_little() -> None:
    logit_NU, right_N = torch.zeros(4, 2), torch.zeros(4, dtype=torch.long)
    _, bias_U = _fitted(logit_NU, right_N)
    assert 0 < bias_U[0] < 0.2


def test_a_model_is_calibrated_in_place_and_says_what_it_was_worth() -> None:
    model = new_model(plan())
    with torch.no_grad():
        model.intent.weight.mul_(20)
    calibration = calibrate(model, batches_of(shoppers(60), ITEMS, 0, 64))
    assert calibration is not None
    assert calibration.temperature > 2
    assert calibration.loss_after < calibration.loss_before
    (batch,) = batches_of(shoppers(60), ITEMS, 0, 10**6)
    with torch.no_grad():
        intent_loss = Learner(model)(*tensors_of(batch, CPU))[0] / counts_of(batch)[0]
    assert float(intent_loss) == pytest.approx(calibration.loss_after, rel=1e-3)


def test_too_few_questions_change_nothing() -> None:
    model = new_model(plan())
    before = model.intent.weight.clone()
    assert calibrate(model, batches_of(shoppers(2), ITEMS, 0, 64)) is None
    assert calibrate(model, []) is None
    assert torch.equal(model.intent.weight, before)
