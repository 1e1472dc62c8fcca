"""A large catalog's vectors and biases, of which a step reads and moves only what it needs.

R item rows  M rows of a step  D width  Z = D + 1
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from features.encoding import FIRST_ITEM_ROW
from training.learning.seat import Seat
from training.model.model import Model
from training.model.sampling import Draw, Proposal, Shelf, draw, drawn

DECAY = 0.98  # of the mean square of a row's gradients, each time it is moved
TINY = 1e-8


@dataclass(frozen=True, slots=True)
class Taken:
    """The rows of a step, as leaves of its graph."""

    draw: Draw
    own_MD: Tensor
    bias_M: Tensor

    def shelf(self, model: Model) -> Shelf:
        """The items that stand for the catalog."""
        return drawn(model.items, self.draw, self.own_MD, self.bias_M)


class Rows:
    """Adam without momentum, with one second moment a vector: 12 bytes a row beside the row.

    A row that a step does not use costs it nothing: neither gradient nor decay.
    """

    def __init__(self, model: Model, draws: int) -> None:
        """Takes these parameters out of the hands of autograd and of the other optimizer."""
        self._items, self._draws = model.items, draws
        self._own_RD, self._bias_V = model.items.own.weight, model.items.bias_V
        self._own_RD.requires_grad_(False)
        self._bias_V.requires_grad_(False)
        self._proposal = Proposal.of(model.step_R)
        self.state = {
            "square_R2": torch.zeros(len(self._own_RD), 2, device=self._own_RD.device),
            "times_R": torch.zeros_like(self._own_RD[:, 0], dtype=torch.int32),
        }

    def take(self, tokens_BLF: Tensor, row_BQ: Tensor, seed: int) -> Taken:
        """What a batch names, and a sample of the rest."""
        generator = torch.Generator().manual_seed(seed)
        found = draw(self._proposal, tokens_BLF, row_BQ, self._draws, generator)
        index_M = found.row_M[FIRST_ITEM_ROW:] - FIRST_ITEM_ROW
        own_MD = self._own_RD[found.row_M].requires_grad_()
        bias_M = F.pad(self._bias_V[index_M], (FIRST_ITEM_ROW, 0)).requires_grad_()
        return Taken(found, own_MD, bias_M)

    def gradient(self, taken: Taken, seat: Seat) -> tuple[Tensor, Tensor]:
        """The rows that any worker used (M), and their mean gradients (M, Z)."""
        own_MD, bias_M = taken.own_MD.grad, taken.bias_M.grad
        assert own_MD is not None and bias_M is not None  # the loss has read all rows
        grad_MZ, row_M = torch.cat([own_MD, bias_M[:, None]], 1), taken.draw.row_M
        if seat.workers == 1:
            return row_M, grad_MZ
        row_M, place_M = seat.gathered(row_M).unique(return_inverse=True)
        every_MZ = seat.gathered(grad_MZ) / seat.workers
        return row_M, every_MZ.new_zeros(len(row_M), every_MZ.shape[1]).index_add_(
            0, place_M, every_MZ
        )

    def move(
        self, row_M: Tensor, grad_MZ: Tensor, *, rate: float, faster: float, decay: float
    ) -> None:
        """Moves rows against their gradients; biases so many times faster, and without decay."""
        square_R2, times_R = self.state["square_R2"], self.state["times_R"]
        times_M = times_R[row_M] + 1
        now_M2 = torch.stack([grad_MZ[:, :-1].square().mean(1), grad_MZ[:, -1].square()], 1)
        square_M2 = DECAY * square_R2[row_M] + (1 - DECAY) * now_M2
        times_R[row_M], square_R2[row_M] = times_M, square_M2
        scale_M2 = 1 / ((square_M2 / (1 - DECAY ** times_M[:, None])).sqrt() + TINY)
        own_MD = self._own_RD[row_M] * (1 - rate * decay)
        self._own_RD[row_M] = own_MD - rate * scale_M2[:, :1] * grad_MZ[:, :-1]
        item_M = row_M >= FIRST_ITEM_ROW
        change_M = (rate * faster * scale_M2[:, 1] * grad_MZ[:, -1])[item_M]
        self._bias_V[row_M[item_M] - FIRST_ITEM_ROW] -= change_M
