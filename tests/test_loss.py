"""The sum over the catalog: exact in tiles, never whole in memory; a sample of it has its mean."""

from collections.abc import Iterator
from dataclasses import replace
from math import log

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from features.encoding import FIRST_ITEM_ROW, ITEM, ItemIndex
from tests.sequences import on_day, packed, plan
from tests.shop import CPU, batches_of
from training.data.items import KnownItems
from training.data.steps import NO_STEPS, most_frequent
from training.data.windows import Batch
from training.learning.learner import Learner, counts_of, move, tensors_of
from training.learning.optimizer import movers_of
from training.learning.plan import Plan, new_model
from training.learning.rows import Rows
from training.learning.seat import Seat
from training.model import partition
from training.model.attention import NEVER
from training.model.partition import sum_log_all
from training.model.sampling import Proposal, draw, whole

ALONE = Seat(0, 1, CPU)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads cost more than they give where everything is small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=["one tile", "many tiles"])
def tiles(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tiles of three items, and a few positions; or all of it in one."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "many tiles":
            patch.setattr(partition, "TILE_ITEMS", 3)
            patch.setattr(partition, "TILE_BYTES", 4 * 3 * 2)
        yield


def arguments(dtype: torch.dtype = torch.float64, *, items: int = 7) -> list[Tensor]:
    torch.manual_seed(0)
    sizes = ((5, 4), (items, 4), (items,), (5,))
    return [torch.randn(size, dtype=dtype, requires_grad=True) for size in sizes]


def naive(wish_ND: Tensor, item_VD: Tensor, bias_V: Tensor, named_N: Tensor) -> Tensor:
    any_N = (wish_ND @ item_VD.T + bias_V).logsumexp(1)
    return torch.logaddexp(any_N, named_N).sum()


def test_the_sum_is_the_naive_one(tiles: None) -> None:
    assert torch.isclose(sum_log_all(*arguments()), naive(*arguments()))


def test_its_gradients_are_those_of_the_sum(tiles: None) -> None:
    assert torch.autograd.gradcheck(lambda *leaves: 3 * sum_log_all(*leaves), arguments())


def test_nothing_to_sum_is_nothing(tiles: None) -> None:
    wish, items, bias, named = arguments()
    total = sum_log_all(wish[:0], items, bias, named[:0])
    assert total == 0
    total.backward()
    assert items.grad is not None
    assert not items.grad.any()


class Largest(TorchDispatchMode):
    """Notes the size of the largest tensor that is made."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.numbers = max(self.numbers, result.numel())
        return result


def test_no_tensor_is_as_large_as_positions_times_items() -> None:
    torch.manual_seed(0)
    wish, items = (torch.randn(3000, 4, requires_grad=True) for _ in range(2))
    with Largest() as largest:
        sum_log_all(wish, items, torch.zeros(3000), torch.zeros(3000)).backward()
    assert 3000 < largest.numbers <= partition.TILE_BYTES // 4 < 3000 * 3000


def test_a_sample_has_the_sum_as_its_mean() -> None:
    torch.manual_seed(0)
    V, draws, times = 200, 16, 4000
    logit_R = torch.randn(FIRST_ITEM_ROW + V)
    step_R = 1 / (2 + torch.randint(0, 20, (FIRST_ITEM_ROW + V,)).float())
    tokens_BLF = torch.zeros(1, 2, 6, dtype=torch.int32)
    tokens_BLF[0, :, ITEM] = torch.tensor([0, 9])
    generator, answer_BQ = torch.Generator().manual_seed(1), torch.tensor([[5, 5]])
    proposal, sums = Proposal.of(step_R), []
    for _ in range(times):
        drawn = draw(proposal, tokens_BLF, answer_BQ, draws, generator)
        sums.append((logit_R[drawn.row_M] + drawn.log_weight_M).exp().sum())
    right, found = logit_R[FIRST_ITEM_ROW:].exp().sum(), torch.stack(sums)
    error = found.std() / times**0.5
    assert abs(found.mean() - right) < 3 * error < 0.02 * right


def test_what_the_batch_names_is_drawn_once_and_counts_for_itself() -> None:
    proposal = Proposal.of(torch.full((FIRST_ITEM_ROW + 4,), 0.5))
    tokens_BLF = torch.zeros(1, 1, 6, dtype=torch.int32)
    tokens_BLF[0, 0, ITEM] = FIRST_ITEM_ROW + 2
    drawn = draw(proposal, tokens_BLF, torch.tensor([[FIRST_ITEM_ROW]]), 9, torch.Generator())
    assert drawn.named == 5
    assert drawn.row_M[:5].tolist() == [0, 1, 2, FIRST_ITEM_ROW, FIRST_ITEM_ROW + 2]
    assert drawn.log_weight_M[:5].tolist() == [NEVER] * 3 + [0, 0]
    assert len(drawn.row_M.unique()) == len(drawn.row_M)


def test_a_sample_of_almost_everything_gives_almost_the_exact_loss() -> None:
    model = new_model(ring_plan())
    batch = tensors_of(ring_batches(0)[0], CPU)
    exact = Learner(model.eval())(*batch)
    sampled = Learner(model)(*batch, Rows(model, 100_000).take(batch[0], batch[3], seed=1))
    assert torch.allclose(exact, sampled, rtol=1e-3)


def test_rows_that_a_step_does_not_use_stay_as_they_are() -> None:
    model = new_model(plan())
    rows, before = Rows(model, 1), whole(model.items).item_MD.detach().clone()
    row_M = torch.tensor([FIRST_ITEM_ROW + 1, FIRST_ITEM_ROW + 4])
    rows.move(row_M, torch.ones(2, 17), rate=0.1, faster=5.0, decay=0.0)
    moved = before - model.items().detach()
    assert moved[row_M].tolist() == pytest.approx(torch.full((2, 16), 0.1))
    assert moved.abs().sum() == pytest.approx(3.2)
    assert model.items.bias_V.tolist() == pytest.approx([0, -0.5, 0, 0, -0.5, 0])


def test_it_learns_from_samples_which_item_follows() -> None:
    learner = Learner(new_model(ring_plan()))
    rows = Rows(learner.model, 20)
    movers = movers_of(learner.model)
    losses = [ring_loss(learner)]
    for epoch in range(9):
        for number, batch in enumerate(ring_batches(epoch)):
            tensors, count = tensors_of(batch, CPU), counts_of(batch).clamp(min=1)
            taken = rows.take(tensors[0], tensors[3], seed=1000 * epoch + number)
            (learner(*tensors, taken) / count).sum().backward()
            move(learner, movers, 0.02, rows, rows.gradient(taken, ALONE))
        losses.append(ring_loss(learner))
    assert losses[0] == pytest.approx(log(RING), abs=0.3)
    assert losses[-1] < losses[0] - 1.5


# ---- A ring of items, of which a batch names but a part ------------------------------------------

RING = 100
RING_ITEMS = ItemIndex(tuple(f"i{number}" for number in range(RING)))


def ring_plan() -> Plan:
    known = KnownItems(RING_ITEMS, np.zeros((RING, 1), np.int64), 2, np.zeros(0, np.uint32))
    return replace(plan(), known=known, followers=most_frequent(NO_STEPS, RING))


def ring_batches(epoch: int, positions: int = 32) -> list[Batch]:
    """Each customer begins somewhere, and goes on from item to item."""
    rng, histories = np.random.default_rng(0), []
    for customer in range(300):
        first, days = int(rng.integers(RING)), int(rng.integers(3, 12))
        acts = [on_day(day, (first + day) % RING, interaction_id=f"{customer}-{day}")
                for day in range(days)]  # fmt: skip
        histories.append(packed(*acts))
    return batches_of(histories, RING_ITEMS, epoch, positions)


def ring_loss(learner: Learner) -> float:
    (batch,) = ring_batches(99, 10**6)
    with torch.no_grad():
        return float((learner(*tensors_of(batch, CPU)) / counts_of(batch))[1])
