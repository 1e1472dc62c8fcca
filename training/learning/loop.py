"""The training loop: what each of the workers under Ray Train does."""

import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import ray.train
import ray.train.torch
import torch
from torch import Tensor, distributed, nn

from training.data.questions import Asking, ask
from training.data.sequences import Sequences, before, in_batches
from training.data.split import is_validation
from training.data.windows import Batch, batches
from training.learning.learner import (
    NOTHING,
    Learner,
    counts_of,
    new_optimizer,
    set_rate,
    step,
    tensors_of,
)
from training.learning.plan import Plan, new_model
from training.learning.progress import Progress, Teller
from training.model.model import Model

CUSTOMERS_AT_ONCE = 4096
STEPS_A_LINE = 5  # of progress
STATE = "state.pt"


@dataclass(slots=True)
class State:
    """How far a run has come."""

    epoch: int = 0  # epochs done
    learnt: float = 0.0  # positions, by all workers
    history: list[dict[str, float]] = field(default_factory=list)  # metrics of each epoch


@dataclass(frozen=True, slots=True)
class Seat:
    """Where this worker sits among the workers."""

    rank: int
    workers: int
    device: torch.device

    def total(self, counts: Tensor) -> Tensor:
        """The sum over all workers."""
        counts = counts.to(self.device)
        if self.workers > 1:
            distributed.all_reduce(counts)
        return counts


def work(config: dict[str, Any]) -> list[dict[str, float]]:
    """Learns until the epochs are over, or validation says enough; gives each epoch's metrics."""
    plan: Plan = config["plan"]
    context = ray.train.get_context()
    seat = Seat(context.get_world_rank(), context.get_world_size(), ray.train.torch.get_device())
    torch.set_num_threads(max(1, config["threads"] // seat.workers))
    model = new_model(plan)
    learner = ray.train.torch.prepare_model(Learner(model))
    optimizer = new_optimizer(model)
    state = restore(model, optimizer)
    teller = Teller(config["progress"]) if seat.rank == 0 else None
    while state.epoch < plan.settings.epochs and not got_worse(state):
        training = learn(plan, learner, optimizer, state, seat, teller)
        validation = validate(plan, learner, seat)
        state.epoch += 1
        state.history.append(metrics_of(training, validation))
        report(model, optimizer, state, seat)
    if teller:
        teller.close()
    return state.history


def metrics_of(training: Tensor, validation: Tensor) -> dict[str, float]:
    """What an epoch is judged by; without anything to validate on, the training loss."""
    judged = validation if bool(validation.isfinite().all()) else training
    names = ("training_intent", "training_item", "validation_intent", "validation_item")
    values = torch.cat([training, judged]).tolist()
    return dict(zip(names, values, strict=True)) | {"validation_loss": sum(values[2:])}


def got_worse(state: State) -> bool:
    """Whether the last epoch did harm."""
    losses = [epoch["validation_loss"] for epoch in state.history]
    return len(losses) > 1 and losses[-1] > min(losses[:-1])


# ---- One pass ----------------------------------------------------------------------------------


def learn(
    plan: Plan,
    learner: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: State,
    seat: Seat,
    teller: Teller | None,
) -> Tensor:
    """Learns once from all positions; gives the mean losses of intent and item (2)."""
    learner.train()
    torch.manual_seed(hash((plan.settings.seed, state.epoch, seat.rank)))
    sums, counts = torch.zeros(2), torch.zeros(2)
    for index, (batch, count) in enumerate(in_step(training_batches(plan, state, seat), seat)):
        state.learnt += float(count[0])
        done = state.learnt / (plan.settings.epochs * plan.position_count)
        set_rate(optimizer, plan.settings.learning_rate, done)
        losses = learner(*tensors_of(batch, seat.device))
        mean = losses / count.clamp(min=1)
        step(learner, optimizer, mean.sum() * seat.workers)  # gradients are averaged over workers
        sums, counts = sums + losses.detach().cpu(), counts + count.cpu()
        if teller and index % STEPS_A_LINE == 0:
            teller.tell(Progress(state.epoch + 1, min(done, 1.0), float(mean.detach().sum())))
    return seat.total(sums).cpu() / counts


@torch.no_grad()
def validate(plan: Plan, learner: nn.Module, seat: Seat) -> Tensor:
    """The mean losses of intent and item (2) on the validation questions; NaN without any."""
    learner.eval()
    sums, counts = torch.zeros(2), torch.zeros(2)
    for batch, count in in_step(validation_batches(plan, seat), seat):
        sums += learner(*tensors_of(batch, seat.device)).cpu()
        counts += count.cpu()
    return seat.total(sums).cpu() / counts


def in_step(batches: Iterator[Batch], seat: Seat) -> Iterator[tuple[Batch, Tensor]]:
    """Each worker's next batch, and what all of them count, until no worker has one left."""
    while True:
        batch = next(batches, NOTHING)
        counts = seat.total(counts_of(batch))
        if not counts[0]:
            return
        yield batch, counts


# ---- Batches -----------------------------------------------------------------------------------


def training_batches(plan: Plan, state: State, seat: Seat) -> Iterator[Batch]:
    """All that may be learnt from, in an order that each epoch draws anew."""
    rng = np.random.default_rng([plan.settings.seed, state.epoch, seat.rank])
    asking = Asking(horizon_ticks=plan.horizon_ticks)
    for sequences in _sequences(plan):
        until = [plan.split.learn_until(customer) for customer in sequences.customers]
        yield from _batches(plan, before(sequences, np.array(until)), asking, seat, rng)


def validation_batches(plan: Plan, seat: Seat) -> Iterator[Batch]:
    """The newest part of the history before the test, of the customers who validate."""
    rng = np.random.default_rng(plan.settings.seed)
    asking = Asking(horizon_ticks=plan.horizon_ticks, since_tick=plan.split.validation_tick)
    for sequences in _sequences(plan):
        chosen = [is_validation(customer) for customer in sequences.customers]
        until = np.where(chosen, plan.split.test_tick, 0)
        yield from _batches(plan, before(sequences, until), asking, seat, rng)


def _sequences(plan: Plan) -> Iterator[Sequences]:
    shard = ray.train.get_dataset_shard("history")
    return in_batches(shard, CUSTOMERS_AT_ONCE, plan.split)


def _batches(
    plan: Plan, sequences: Sequences, asking: Asking, seat: Seat, rng: np.random.Generator
) -> Iterator[Batch]:
    if not sequences.customers:
        return iter(())
    return batches(
        sequences,
        ask(sequences, plan.types, asking, rng),
        plan.items,
        max_length=plan.settings.max_length,
        positions_a_batch=max(1, plan.settings.positions_a_step // seat.workers),
        rng=rng,
    )


# ---- Checkpoints -------------------------------------------------------------------------------


def report(model: Model, optimizer: torch.optim.Optimizer, state: State, seat: Seat) -> None:
    """Reports the epoch's metrics to Ray Train; the first worker keeps the state.

    Waits until Ray knows of it: a worker killed right after begins here, not at the start.
    """
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = None
        if seat.rank == 0:
            content = {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "state": asdict(state),
            }
            torch.save(content, Path(folder) / STATE)
            checkpoint = ray.train.Checkpoint.from_directory(folder)
        ray.train.report(state.history[-1], checkpoint=checkpoint)
        ray.train.get_all_reported_checkpoints(ray.train.CheckpointConsistencyMode.COMMITTED)


def restore(model: Model, optimizer: torch.optim.Optimizer) -> State:
    """Goes on where a killed worker left off, or begins."""
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return State()
    content = load(checkpoint)
    model.load_state_dict(content["model"])
    optimizer.load_state_dict(content["optimizer"])
    return State(**content["state"])


def load(checkpoint: ray.train.Checkpoint) -> dict[str, Any]:
    """What a checkpoint holds."""
    with checkpoint.as_directory() as folder:
        content: dict[str, Any] = torch.load(Path(folder) / STATE, map_location="cpu")
    return content
