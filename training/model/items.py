"""The items' vectors: of each one's own, and from its content; while learning, some are as new.

What an item has of its own is known only of items that were learnt from. So that content alone
can stand beside it, each step takes some items for new ones: what all new items share is put in
the place of their own, as in DropoutNet (Volkovs et al. 2017), and nothing is known of what
followed them, or what they followed. What new items share is thus fitted to items as popular as
the catalog's are on average.

V items  R item rows, V after the special ones  M rows at hand  D width  W features of an item
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from features.encoding import FIRST_ITEM_ROW, UNKNOWN_ITEM_ROW


class Items(nn.Module):
    """A vector for each item: one of its own, plus what its content says."""

    content_VW: Tensor

    def __init__(self, content_VW: Tensor, *, buckets: int, width: int, as_new: float) -> None:
        """`buckets` are the rows of the table of features; 0 is no feature."""
        super().__init__()
        self.as_new = as_new if bool((content_VW > 0).any()) else 0.0
        self.own = nn.Embedding(FIRST_ITEM_ROW + len(content_VW), width)
        self.content = nn.EmbeddingBag(buckets, width, mode="sum", padding_idx=0)
        self.bias_V = nn.Parameter(torch.zeros(len(content_VW)))
        self.new_bias_1 = nn.Parameter(torch.zeros(1))
        self.register_buffer("content_VW", content_VW)

    def forward(self) -> Tensor:
        """The vectors of all item rows (R, D)."""
        return self.own.weight + _after_special(self.content(self.content_VW))

    def learnt(
        self, own_MD: Tensor, bias_M: Tensor, content_NW: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors and biases as a step learns them, and which are as of new items (M).

        Of rows whose first are the special ones; `content_NW` is of those after them, by itself of
        all items. Without content an item is never taken for new.
        """
        content_NW = self.content_VW if content_NW is None else content_NW
        new_M = F.pad(self._taken_for_new(content_NW), (FIRST_ITEM_ROW, 0))
        own_MD = torch.where(new_M[:, None], own_MD[UNKNOWN_ITEM_ROW], own_MD)
        item_MD = own_MD + _after_special(self.content(content_NW))
        return item_MD, torch.where(new_M, self.new_bias_1, bias_M), new_M

    def _taken_for_new(self, content_NW: Tensor) -> Tensor:
        if not (self.training and self.as_new):
            return torch.zeros(len(content_NW), dtype=torch.bool, device=content_NW.device)
        drawn_N = torch.rand(len(content_NW), device=content_NW.device) < self.as_new
        return drawn_N & (content_NW > 0).any(1)


def _after_special(item_ND: Tensor) -> Tensor:
    return F.pad(item_ND, (0, 0, FIRST_ITEM_ROW, 0))
