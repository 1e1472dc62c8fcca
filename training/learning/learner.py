"""One step of learning: losses of a batch, and the gradients that move the parameters."""

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
from training.learning.optimizer import FASTER, WEIGHT_DECAY, Movers
from training.learning.rows import Rows, Taken
from training.model.loss import Answers, losses
from training.model.model import Model

MAX_NORM = 1.0
TINY = 1e-6


class Learner(nn.Module):
    """A model that answers with its losses, so that any number of workers may share it."""

    def __init__(self, model: Model, *, bfloat16: bool = False) -> None:
        super().__init__()
        self.model = model
        self.in_bfloat16 = bfloat16

    def forward(
        self,
        tokens_BLF: Tensor,
        context_BLC: Tensor,
        type_BL: Tensor,
        row_BL: Tensor,
        taken: Taken | None = None,
    ) -> Tensor:
        shelf = taken.shelf(self.model) if taken else None
        answers = Answers(type_BL, row_BL)
        return losses(
            self.model, tokens_BLF, context_BLC, answers, shelf, bfloat16=self.in_bfloat16
        )


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


def move(
    learner: nn.Module,
    movers: Movers,
    rate: float,
    rows: Rows | None = None,
    moved: tuple[Tensor, Tensor] | None = None,
) -> None:
    """Moves the parameters against their gradients, which are not to be longer than MAX_NORM.

    `moved` are rows of a large catalog, and their gradients: see Rows.gradient.
    """
    grads = [each.grad for each in learner.parameters() if each.grad is not None]
    row_grads = [moved[1]] if moved else []
    scale = (MAX_NORM / (nn.utils.get_total_norm(grads + row_grads) + TINY)).clamp(max=1.0)
    torch._foreach_mul_(grads, scale)
    movers.step(rate)
    if rows and moved:
        rows.move(moved[0], moved[1] * scale, rate=rate, faster=FASTER, decay=WEIGHT_DECAY)
