"""What the loop keeps count of: when it is enough, which epoch was best, the average weights."""

from dataclasses import replace

import pytest
import torch

from tests.sequences import plan
from training.learning.averaging import Average
from training.learning.checkpoints import State, parameters_of, put_parameters
from training.learning.loop import end_epoch, in_bfloat16, metrics_of, seed_of
from training.learning.plan import new_model
from training.settings import TrainingError, TrainingSettings


def after(*losses: float) -> State:
    state = State(step=7, sums=[3.0, 4.0], counts=[5.0, 6.0])
    for loss in losses:
        end_epoch(state, torch.tensor([9.0, 9.0]), torch.tensor([loss, 0.0]))
    return state


def test_an_epoch_without_gain_is_enough() -> None:
    assert not after(3, 2, 1).is_enough(9, patience=1)
    assert after(3, 1, 2).is_enough(9, patience=1)
    assert after(3, 1, 1).is_enough(9, patience=1)


def test_patience_waits_for_a_better_epoch() -> None:
    assert not after(3, 1, 2).is_enough(9, patience=2)
    assert after(3, 1, 2, 2).is_enough(9, patience=2)
    assert not after(3, 1, 2, 0.5).is_enough(9, patience=2)
    assert not after(1, 2, 3, 4, 5).is_enough(9, patience=0)


def test_all_epochs_are_enough() -> None:
    assert after(3, 2).is_enough(2, patience=1)
    assert after(3, 1, 2).best_epoch == 2
    assert after().best_epoch == 0


def test_an_epoch_begins_at_its_first_step() -> None:
    state = after(1)
    assert (state.epoch, state.step, state.sums, state.counts) == (1, 0, [0, 0], [0, 0])


def test_without_validation_the_training_loss_counts() -> None:
    metrics = metrics_of(torch.tensor([1.0, 2.0]), torch.tensor([torch.nan, torch.nan]))
    assert metrics["validation_loss"] == 3


def test_the_average_follows_slowly_and_is_worn_for_a_while() -> None:
    model = new_model(plan())
    bias_V, average = model.items.bias_V, Average(model, 0.75)
    for _ in range(20):  # young, it has a decay of (1 + n) / (10 + n)
        average.follow()
    with torch.no_grad():
        bias_V += 1
    average.follow()  # the 21st: 22 / 31 < 0.75
    with average.worn():
        assert bias_V.tolist() == pytest.approx([9 / 31] * 6)
    assert bias_V.tolist() == [1] * 6


def test_an_average_goes_on_where_it_was() -> None:
    model = new_model(plan())
    one, other = Average(model, 0.9), Average(new_model(plan(seed=2)), 0.9)
    one.follow()
    other.restore(one.state())
    assert other.state()["steps"] == 1
    with one.worn():
        expected = parameters_of(model)["wish.weight"].clone()
    means = dict(zip(parameters_of(model), other.state()["means"], strict=True))  # type: ignore
    assert torch.equal(means["wish.weight"], expected)


def test_parameters_are_put_back_and_nothing_else() -> None:
    one, other = new_model(plan()), new_model(plan(seed=2))
    put_parameters(other, parameters_of(one))
    some, others = one.state_dict(), other.state_dict()
    assert all(torch.equal(some[name], others[name]) for name in some)


def test_seeds_differ_by_each_number_and_its_place() -> None:
    seeds = [seed_of(*numbers) for numbers in ((1, 2, 3), (1, 2, 4), (2, 1, 3), (1, 2, 3, 0))]
    assert len({*seeds}) == 4
    assert seed_of(1, 2, 3) == seeds[0] < 2**63


def test_a_cpu_computes_in_float32() -> None:
    assert not in_bfloat16("bfloat16", torch.device("cpu"))
    with pytest.raises(TrainingError, match="precision is half: must be one of auto, float32"):
        TrainingSettings(precision="half")


def test_a_smoke_run_is_small_whatever_is_asked() -> None:
    asked = TrainingSettings(width=256, epochs=50, seed=3)
    assert asked.as_meant() == asked
    assert asked.steps_an_epoch is None
    smoke = replace(asked, smoke=True).as_meant()
    assert (smoke.width, smoke.epochs, smoke.seed, smoke.steps_an_epoch) == (16, 1, 3, 20)
