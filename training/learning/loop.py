"""The training loop: what each of the workers under Ray Train does."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import ray.train
import ray.train.torch
import torch
from torch import Tensor, nn

from features.cores import cores
from training.data.windows import Batch
from training.learning.averaging import Average
from training.learning.checkpoints import Learning, State, keep_best, restore, save
from training.learning.learner import (
    NOTHING,
    Learner,
    counts_of,
    move,
    tensors_of,
)
from training.learning.optimizer import movers_of, rate_at
from training.learning.plan import Plan, new_model
from training.learning.progress import Progress, Teller
from training.learning.rows import Rows, Taken
from training.learning.seat import Seat
from training.learning.stream import Stream

STEPS_A_LINE = 5  # of progress


@dataclass(frozen=True, slots=True)
class Classroom:
    """What does not change while a worker learns."""

    plan: Plan
    stream: Stream
    seat: Seat
    teller: Teller | None


def work(config: dict[str, Any]) -> list[dict[str, float]]:
    """Learns until the epochs are over, or validation says enough; gives each epoch's metrics."""
    room = enter(config)
    with TemporaryDirectory() as folder:
        history = run_epochs(room, Path(folder)).state.history
    if room.teller:
        room.teller.close()
    return history


def enter(config: dict[str, Any]) -> Classroom:
    """What this worker is to do."""
    plan, context = config["plan"], ray.train.get_context()
    seat = Seat(context.get_world_rank(), context.get_world_size(), ray.train.torch.get_device())
    torch.set_num_threads(max(1, min(cores(), config["threads"] // seat.workers)))
    be_repeatable(seat.device)
    teller = Teller(config["progress"]) if seat.rank == 0 else None
    return Classroom(plan, Stream(plan, config["blocks"], seat.rank, seat.workers), seat, teller)


def run_epochs(room: Classroom, folder: Path) -> Learning:
    """From the beginning, or the last checkpoint, to the end."""
    learner, learning = begin(room.plan, room.seat, folder)
    restore(learning, room.seat)
    settings, state = room.plan.settings, learning.state
    while not state.is_enough(settings.epochs, settings.patience):
        training = learn(room, learner, learning)
        with learning.average.worn() if learning.average else nullcontext():
            end_epoch(state, training, validate(room, learner, learning))
            if room.seat.rank == 0:
                keep_best(learning)
        tell_epoch(room, state)
        save(learning, room.seat, state.history[-1])
    return learning


def begin(plan: Plan, seat: Seat, folder: Path) -> tuple[nn.Module, Learning]:
    """A model that has learnt nothing, with what will move it."""
    settings, model = plan.settings, new_model(plan)
    model.to(seat.device)
    large = len(plan.items.item_ids) > settings.exact_items
    rows = Rows(model, settings.sampled_items) if large else None
    learner = ray.train.torch.prepare_model(
        Learner(model, bfloat16=in_bfloat16(settings.precision, seat.device)),
        parallel_strategy_kwargs={"forward_sync_buffers": False},  # none of them ever changes
    )
    average = Average(model, settings.averaging) if settings.averaging else None
    return learner, Learning(model, movers_of(model), rows, average, folder)


def in_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether the transformer computes in bfloat16: on a CPU that gains nothing."""
    if device.type != "cuda" or precision == "float32":
        return False
    return precision == "bfloat16" or torch.cuda.is_bf16_supported()


def be_repeatable(device: torch.device) -> None:
    """The same run twice gives the same bits, on one machine with as many workers and threads."""
    torch.use_deterministic_algorithms(True, warn_only=device.type != "cpu")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def seed_of(*numbers: int) -> int:
    """One seed from several numbers."""
    return int(
        np.random.SeedSequence([len(numbers), *numbers]).generate_state(1, np.uint64)[0] >> 1
    )


# ---- One pass ----------------------------------------------------------------------------------


def learn(room: Classroom, learner: nn.Module, learning: Learning) -> Tensor:
    """Learns once from all positions; gives the mean losses of intent and item (2)."""
    learner.train()
    settings, seat, state = room.plan.settings, room.seat, learning.state
    batches = islice(room.stream.training(state.epoch), state.step, settings.steps_an_epoch)
    for batch, count in in_step(batches, seat):
        mean = learn_batch(room, learner, learning, batch, count)
        state.step += 1
        if room.teller and state.step % STEPS_A_LINE == 1:
            done = min(done_of(room.plan, state), 1.0)
            room.teller.tell(Progress(state.epoch + 1, done, float(mean.sum())))
        if settings.checkpoint_steps and state.step % settings.checkpoint_steps == 0:
            save(learning, seat, {})
    return seat.total(torch.tensor(state.sums)).cpu() / torch.tensor(state.counts)


def learn_batch(
    room: Classroom, learner: nn.Module, learning: Learning, batch: Batch, count: Tensor
) -> Tensor:
    """One step; gives the mean losses."""
    settings, seat, state = room.plan.settings, room.seat, learning.state
    at = (settings.seed, state.epoch, state.step)
    torch.manual_seed(seed_of(*at, seat.rank))  # of dropout
    state.learnt += float(count[0])
    tensors = tensors_of(batch, seat.device)
    taken = take(learning, tensors, *at)
    losses = learner(*tensors, taken)
    mean = losses / count.clamp(min=1)
    (mean.sum() * seat.workers).backward()  # gradients are averaged over workers
    moved = learning.rows.gradient(taken, seat) if learning.rows and taken else None
    rate = settings.learning_rate * rate_at(done_of(room.plan, state))
    move(learner, learning.movers, rate, learning.rows, moved)
    if learning.average:
        learning.average.follow()
    state.sums = [a + b for a, b in zip(state.sums, losses.tolist(), strict=True)]
    state.counts = [a + b for a, b in zip(state.counts, count.tolist(), strict=True)]
    return mean.detach()


def take(learning: Learning, tensors: Sequence[Tensor], *seeds: int) -> Taken | None:
    """The rows of a large catalog that a batch needs, the same sample for all workers."""
    if learning.rows is None:
        return None
    return learning.rows.take(tensors[0], tensors[3], seed_of(*seeds))


def done_of(plan: Plan, state: State) -> float:
    """The share of the run that is done, about."""
    return state.learnt / (plan.settings.epochs * plan.learnt_count)


@torch.no_grad()
def validate(room: Classroom, learner: nn.Module, learning: Learning) -> Tensor:
    """The mean losses of intent and item (2) on the validation questions; NaN without any."""
    learner.eval()
    sums, counts = torch.zeros(2), torch.zeros(2)
    for step, (batch, count) in enumerate(in_step(room.stream.validation(), room.seat)):
        tensors = tensors_of(batch, room.seat.device)
        sums += learner(*tensors, take(learning, tensors, room.plan.settings.seed, step)).cpu()
        counts += count.cpu()
    return room.seat.total(sums).cpu() / counts


def in_step(batches: Iterator[Batch], seat: Seat) -> Iterator[tuple[Batch, Tensor]]:
    """Each worker's next batch, and what all of them count, until no worker has one left."""
    while True:
        batch = next(batches, NOTHING)
        counts = seat.total(counts_of(batch))
        if not counts[0]:
            return
        yield batch, counts


# ---- The end of an epoch -----------------------------------------------------------------------


def end_epoch(state: State, training: Tensor, validation: Tensor) -> None:
    """Notes what the epoch was worth."""
    state.history.append(metrics_of(training, validation))
    state.epoch, state.step = state.epoch + 1, 0
    state.sums, state.counts = [0.0, 0.0], [0.0, 0.0]


def metrics_of(training: Tensor, validation: Tensor) -> dict[str, float]:
    """What an epoch is judged by; without anything to validate on, the training loss."""
    judged = validation if bool(validation.isfinite().all()) else training
    names = ("training_intent", "training_item", "validation_intent", "validation_item")
    values = torch.cat([training, judged]).tolist()
    return dict(zip(names, values, strict=True)) | {"validation_loss": sum(values[2:])}


def tell_epoch(room: Classroom, state: State) -> None:
    """Tells the program how the epoch ended."""
    if room.teller:
        done, metrics = min(done_of(room.plan, state), 1.0), state.history[-1]
        loss = metrics["training_intent"] + metrics["training_item"]
        room.teller.tell(Progress(state.epoch, done, loss, metrics))
