"""Two workers, each with histories of its own, end with the same weights."""

from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing
from torch.nn.parallel import DistributedDataParallel

from tests.sequences import plan, shoppers
from tests.shop import CPU, shop_batches
from training.learning.checkpoints import parameters_of
from training.learning.learner import Learner, move, tensors_of
from training.learning.loop import be_repeatable, in_step
from training.learning.optimizer import movers_of
from training.learning.plan import new_model
from training.learning.rows import Rows
from training.learning.seat import Seat


def work(rank: int, folder: Path, sampled: bool) -> None:
    """What one of the workers does; leaves the weights of both in a file of its own."""
    torch.set_num_threads(1)
    be_repeatable(CPU)
    meeting = (folder / "meeting").as_uri()
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    seat, model = Seat(rank, 2, CPU), new_model(plan())
    rows = Rows(model, 3) if sampled else None
    learner = DistributedDataParallel(Learner(model), forward_sync_buffers=False)
    movers = movers_of(model)
    batches = shop_batches(shoppers(20 + 40 * rank, seed=rank))
    for number, (batch, count) in enumerate(in_step(iter(batches), seat)):
        tensors = tensors_of(batch, CPU)
        taken = rows.take(tensors[0], tensors[3], seed=number) if rows else None
        ((learner(*tensors, taken) / count.clamp(min=1)).sum() * 2).backward()
        move(learner, movers, 0.01, rows, rows.gradient(taken, seat) if rows and taken else None)
    weights = torch.cat([each.flatten() for each in parameters_of(model).values()])
    torch.save((len(batches), seat.gathered(weights[None])), folder / f"{rank}.pt")
    del learner  # before the group, whose threads may wait for this one while it waits for them
    distributed.barrier()
    distributed.destroy_process_group()


@pytest.mark.parametrize("sampled", [False, True], ids=["exact", "sampled"])
def test_two_workers_end_with_the_same_weights(tmp_path: Path, sampled: bool) -> None:
    multiprocessing.spawn(work, (tmp_path, sampled), nprocs=2)
    (few, weights), (many, _) = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert few < many  # one was through before the other
    assert torch.equal(weights[0], weights[1])
