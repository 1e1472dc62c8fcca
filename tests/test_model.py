"""The model keeps to the past, its losses are what they claim, and it learns."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from features.artefact import INPUTS, no_fresh
from features.encoding import FIRST_ITEM_ROW, ITEM, encode
from tests.sequences import ITEMS, VOCABULARY, on_day, packed, plan, shoppers
from tests.shop import shop_batches
from training.data.steps import NO_STEPS, most_frequent
from training.export.export import run_model
from training.export.ranker import Ranker
from training.learning.learner import (
    NOTHING,
    Learner,
    counts_of,
    move,
    tensors_of,
)
from training.learning.optimizer import movers_of, rate_at
from training.learning.plan import new_model
from training.model.attention import ages
from training.model.loss import Answers, losses
from training.model.model import Model

ABOUT = 1e-5


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads cost more than they give where everything is small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def trembling(model: Model) -> Model:
    """A model of which no part is 0, as if it had learnt something."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape)
    return model.eval()


def ranked(model: Model, histories: list[bytes]) -> tuple[Tensor, Tensor, Tensor]:
    """Intent, items and joint probabilities of all items, asked at once."""
    tokens_BLF, context_BC = encode(
        histories, [1] * len(histories), np.full(len(histories), 5 * 10**11), items=ITEMS,
        max_length=6,
    )  # fmt: skip
    feeds = (
        tokens_BLF,
        context_BC,
        np.ones((len(histories), len(VOCABULARY.predicted)), np.float32),
        np.ones((1, len(ITEMS.item_ids) + 1), bool),
        np.zeros(len(histories), np.int64),
        no_fresh(model.config.width + 1),
        np.array(len(ITEMS.item_ids)),
    )
    answer = run_model(Ranker(model), dict(zip(INPUTS, feeds, strict=True)))
    intent_BU, item_BK, joint_BKT = map(torch.from_numpy, answer)
    return intent_BU, item_BK, joint_BKT


def test_what_comes_later_changes_nothing_before() -> None:
    model = trembling(new_model(plan()))
    (tokens, context, _, _) = tensors_of(NOTHING, torch.device("cpu"))
    tokens, context = tokens.repeat(1, 6, 1), context.repeat(1, 6, 1)
    tokens[0] = torch.randint(1, 9, (6, 6)) % torch.tensor([9, 9, 9, 2, 9, 9])
    later = tokens.clone()
    later[0, 4:, ITEM] = FIRST_ITEM_ROW + 5
    before, after = (model(each, context, model.items()).state_BQD for each in (tokens, later))
    assert torch.allclose(before[0, :4], after[0, :4], atol=ABOUT)
    assert not torch.allclose(before[0, 4:], after[0, 4:], atol=ABOUT)


def test_a_batch_of_many_answers_as_batches_of_one() -> None:
    model, histories = trembling(new_model(plan())), [*shoppers(8), b""]
    together = ranked(model, histories)
    for row, history in enumerate(histories):
        alone = ranked(model, [history])
        assert torch.allclose(alone[0][0], together[0][row], atol=ABOUT)
        assert torch.allclose(alone[2].sum(-1)[0], together[2].sum(-1)[row], atol=ABOUT)


def test_probabilities_add_up_to_the_probability_of_each_type() -> None:
    intent_BU, _, joint_BKT = ranked(trembling(new_model(plan())), shoppers(5))
    assert torch.allclose(intent_BU.sum(-1), torch.ones(5))
    assert torch.allclose(joint_BKT.sum(1), intent_BU[:, :-1], atol=ABOUT)


def test_the_graph_gives_the_probabilities_that_the_loss_teaches() -> None:
    model, history = trembling(new_model(plan())), shoppers(1)[0]
    _, item_BK, joint_BKT = ranked(model, [history])
    tokens_BLF, context_BC = map(
        torch.from_numpy,
        encode([history], [1], np.array([5 * 10**11]), items=ITEMS, max_length=6),
    )
    for type_ in (0, 3):
        for place, item in enumerate(item_BK[0].tolist()):
            answers = Answers(torch.tensor([[type_]]), torch.tensor([[FIRST_ITEM_ROW + item]]))
            with torch.no_grad():
                taught = losses(model, tokens_BLF, context_BC[:, None], answers)
            given = joint_BKT[0, place, type_]
            assert torch.isclose(-taught.sum(), given.log(), atol=1e-4)


def test_ages_are_those_of_the_gaps() -> None:
    tokens_BLF, context_BC = encode(
        [packed(on_day(0, 1), on_day(1, 2))], [1], np.array([0]), items=ITEMS, max_length=6
    )
    age_BQL = ages(torch.from_numpy(tokens_BLF), torch.from_numpy(context_BC[:, 1:]))
    # A day is 86,400 s, in bucket 33; the elapsed time is none, so the newest is of age 0.
    assert age_BQL[0, 0].tolist() == [33, 1]


def test_a_worker_without_a_batch_learns_nothing() -> None:
    learner = Learner(new_model(plan()))
    assert counts_of(NOTHING).tolist() == [0, 0]
    sums = learner(*tensors_of(NOTHING, torch.device("cpu")))
    assert sums.tolist() == [0, 0]
    sums.sum().backward()
    assert all(not p.grad.any() for p in learner.parameters() if p.grad is not None)


def test_the_rate_warms_up_and_falls() -> None:
    rates = [rate_at(done) for done in (0.025, 0.05, 0.5, 1.0)]
    assert rates == pytest.approx([0.4992, 0.994, 0.51, 0.02], abs=1e-3)


@pytest.mark.parametrize("counted", [True, False])
def test_it_learns_which_item_follows(counted: bool) -> None:
    histories = shoppers(150)
    followers = plan().followers if counted else most_frequent(NO_STEPS, 6)
    learner = Learner(new_model(replace(plan(), followers=followers)))
    movers = movers_of(learner.model)
    for epoch in range(8):
        for batch in shop_batches(histories, epoch):
            mean = learner(*tensors_of(batch, torch.device("cpu"))) / counts_of(batch).clamp(min=1)
            mean.sum().backward()
            move(learner, movers, 0.008)
    follows = [packed(on_day(0, n), on_day(2, (n + 1) % 6)) for n in range(6)]
    _, item_BK, _ = ranked(learner.model.eval(), follows)
    assert item_BK[:, 0].tolist() == [(n + 2) % 6 for n in range(6)]
