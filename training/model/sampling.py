"""Which items stand for a catalog in one step: all of them, or of a large one a weighted sample.

B customers  L tokens  F token fields  Q asked positions  R item rows  V items  D width
U rows that a batch names  S draws  K distinct items drawn  M rows at hand
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from features.encoding import FIRST_ITEM_ROW, ITEM
from training.data.steps import PRIOR
from training.model.attention import NEVER
from training.model.items import Items


@dataclass(frozen=True, slots=True)
class Shelf:
    """The items of one step; exp(wish . item + bias), summed over M, stands for the catalog's."""

    row_U: Tensor | None  # of those that the batch names, which come first; None for all rows
    item_MD: Tensor
    bias_M: Tensor  # with the log weight of an item that is drawn; NEVER where there is no item
    new_M: Tensor  # whether it is taken for a new one: see Items.learnt

    def place(self, row: Tensor) -> Tensor:
        """Where rows that the batch names stand among the M."""
        return row if self.row_U is None else torch.searchsorted(self.row_U, row.long())


def whole(items: Items) -> Shelf:
    """All items."""
    bias_R = F.pad(items.bias_V, (FIRST_ITEM_ROW, 0), value=NEVER)
    return Shelf(None, *items.learnt(items.own.weight, bias_R))


@dataclass(frozen=True, slots=True)
class Proposal:
    """How likely each item is to be drawn: half evenly, half by how often something followed it."""

    chance_V: Tensor
    cumulative_V: Tensor

    @staticmethod
    def of(step_R: Tensor) -> "Proposal":
        """From the share that a single step makes (steps.Followers)."""
        count_V = (1 / step_R[FIRST_ITEM_ROW:].double() - PRIOR).clamp(min=0) + 1e-9
        chance_V = (1 / len(count_V) + count_V / count_V.sum()) / 2
        return Proposal(chance_V, chance_V.cumsum(0))


@dataclass(frozen=True, slots=True)
class Draw:
    """Rows of a step, each once, and the log weight of each in the sum; NEVER for no item."""

    row_M: Tensor  # first those that the batch names, ascending, the special ones among them
    named: int  # how many those are
    log_weight_M: Tensor


def draw(
    proposal: Proposal, tokens_BLF: Tensor, row_BQ: Tensor, draws: int, generator: torch.Generator
) -> Draw:
    """What the batch names, each once for itself; and a sample that stands for all others.

    For any wish, the sum over M of weight x exp(logit) has the catalog's sum as its mean: the
    named items are in it as they are, any other item v on average S chance_v / (S chance_v) = 1
    time. Its logarithm, and so the loss and its gradient, are biased (the loss is too small, by
    about half the relative variance of the sum, which falls as 1 / S).
    """
    special_3 = torch.arange(FIRST_ITEM_ROW, device=row_BQ.device)
    named = [special_3, tokens_BLF[..., ITEM].flatten(), row_BQ.flatten()]
    row_U = torch.cat(named).unique()
    at_S = torch.rand(draws, generator=generator, dtype=torch.float64).to(row_U.device)
    index_S = torch.searchsorted(proposal.cumulative_V, at_S * proposal.cumulative_V[-1])
    index_K, times_K = index_S.clamp(max=len(proposal.chance_V) - 1).unique(return_counts=True)
    other_K = ~torch.isin(index_K + FIRST_ITEM_ROW, row_U)
    index_K, times_K = index_K[other_K], times_K[other_K]
    log_weight_K = (times_K / (draws * proposal.chance_V[index_K])).log().float()
    log_weight_U = torch.zeros(len(row_U), device=row_U.device)
    log_weight_U[:FIRST_ITEM_ROW] = NEVER
    row_M = torch.cat([row_U, index_K + FIRST_ITEM_ROW])
    return Draw(row_M, len(row_U), torch.cat([log_weight_U, log_weight_K]))


def drawn(items: Items, draw: Draw, own_MD: Tensor, bias_M: Tensor) -> Shelf:
    """The items of a draw, from their own vectors and biases (0 for the special rows)."""
    index_M = draw.row_M[FIRST_ITEM_ROW:] - FIRST_ITEM_ROW
    item_MD, bias_M, new_M = items.learnt(own_MD, bias_M, items.content_VW[index_M])
    row_U = draw.row_M[: draw.named]
    return Shelf(row_U, item_MD, bias_M + draw.log_weight_M, new_M)
