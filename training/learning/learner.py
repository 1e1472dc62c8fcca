"""One step of learning: losses of a batch, gradients, optimizer, schedule."""

from math import cos, pi

import numpy as np
import torch
from torch import Tensor, nn

from features.encoding import (
    CONTEXT_FIELDS,
    FIRST_ITEM_ROW,
    TOKEN_FIELDS,
)
from training.data.questions import NONE
from training.data.windows import Batch
from training.model.loss import Answers, losses
from training.model.model import Model

WEIGHT_DECAY = 0.01
BETAS = (0.9, 0.98)
MAX_NORM = 1.0
WARM_UP = 0.05  # share of the run
LOWEST_RATE = 0.02  # share of the highest
FASTER = 5.0  # biases by distance, age and item have far to go from 0


class Learner(nn.Module):
    """A model that answers with its losses, so that any number of workers may share it."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, tokens_BLF: Tensor, context_BLC: Tensor, type_BL: Tensor, row_BL: Tensor
    ) -> Tensor:
        return losses(self.model, tokens_BLF, context_BLC, Answers(type_BL, row_BL))


def tensors_of(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The arguments of Learner.forward."""
    tokens_BLF = torch.from_numpy(batch.tokens_BLF).to(device)
    context_BLC = torch.from_numpy(batch.context_BLC).to(device)
    type_BL = torch.from_numpy(batch.type_BL).to(device)
    row_BL = torch.from_numpy(batch.row_BL).long().to(device)
    return tokens_BLF, context_BLC, type_BL, row_BL


NOTHING = Batch(
    tokens_BLF=np.zeros((1, 1, TOKEN_FIELDS), np.int32),
    context_BLC=np.zeros((1, 1, CONTEXT_FIELDS), np.int32),
    type_BL=np.full((1, 1), NONE),
    row_BL=np.zeros((1, 1), np.int32),
)
"""What a worker that is through steps along with, until the others are."""


def counts_of(batch: Batch) -> Tensor:
    """How many types and items a batch lets a model learn (2)."""
    known = batch.type_BL != NONE
    return torch.tensor([known.sum(), (known & (batch.row_BL >= FIRST_ITEM_ROW)).sum()]).float()


def new_optimizer(model: Model) -> torch.optim.Optimizer:
    """AdamW; each group knows its `speed`, a factor on the learning rate."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        fast = name.startswith(("nearness.", "distances.")) or name.endswith("bias_V")
        decay = 0.0 if fast or parameter.ndim == 1 else WEIGHT_DECAY
        groups.setdefault((FASTER if fast else 1.0, decay), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": params, "speed": speed, "weight_decay": decay}
            for (speed, decay), params in groups.items()
        ],
        betas=BETAS,
        fused=True,
    )


def set_rate(optimizer: torch.optim.Optimizer, highest: float, done: float) -> None:
    """Warms up, then falls as a cosine; `done` is the share of the run."""
    done = min(done, 1.0)
    rate = min(done / WARM_UP, 1.0) * (LOWEST_RATE + (1 - LOWEST_RATE) * (1 + cos(pi * done)) / 2)
    for group in optimizer.param_groups:
        group["lr"] = highest * rate * group["speed"]


def step(learner: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Moves the parameters against the gradient of the loss."""
    loss.backward()
    nn.utils.clip_grad_norm_(learner.parameters(), MAX_NORM)
    optimizer.step()
    optimizer.zero_grad()
