"""How asked positions look back: attention by content, by distance in tokens, and by age in time.

B customers  L tokens  Q asked positions, the last of L  D width  H heads  E width a head
"""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from features.encoding import FIRST_ITEM_ROW, GAP, GAPS_PER_DOUBLING, ITEM, MAX_GAP, TYPE

NEVER = -1e9


@dataclass(frozen=True, slots=True)
class Lookback:
    """What each asked position sees of the tokens up to it."""

    distance_QL: Tensor  # how many tokens ago; 0 for those to come, which are not seen
    seen_BQL: Tensor  # neither to come nor padding; a position always sees itself
    named_BQL: Tensor  # seen, and about a known item


def look_back(tokens_BLF: Tensor, Q: int) -> Lookback:
    """The view from the last Q positions."""
    L = tokens_BLF.shape[1]
    at_L = torch.arange(L, device=tokens_BLF.device)
    distance_QL = at_L[L - Q :, None] - at_L
    held_B1L = tokens_BLF[:, None, :, TYPE] > 0
    seen_BQL = (distance_QL >= 0) & held_B1L | (distance_QL == 0)
    named_BQL = seen_BQL & (tokens_BLF[:, None, :, ITEM] >= FIRST_ITEM_ROW)
    return Lookback(distance_QL.clamp(min=0), seen_BQL, named_BQL)


def ages(tokens_BLF: Tensor, elapsed_BQ: Tensor) -> Tensor:
    """How long ago each token was (B, Q, L), in buckets of encoding.gap_bucket.

    It is seen from the last Q positions, so long (a bucket) after their own token.
    """
    asked = tokens_BLF.shape[1] - elapsed_BQ.shape[1]
    time_BL = seconds_of(tokens_BLF[..., GAP]).cumsum(1)
    now_BQ = time_BL[:, asked:] + seconds_of(elapsed_BQ)
    return age_bucket(now_BQ[..., None] - time_BL[:, None])


def seconds_of(gap_bucket: Tensor) -> Tensor:
    """The middle of a bucket of encoding.gap_bucket; 0 for the first one and for no gap.

    In float64: ages are differences of sums over months, and float32 would round away the seconds
    that decide the bucket, differently in torch and in ONNX Runtime.
    """
    middle = torch.exp2((gap_bucket.double() - 0.5) / GAPS_PER_DOUBLING) - 1
    return middle * (gap_bucket > 1)


def age_bucket(seconds: Tensor) -> Tensor:
    """encoding.gap_bucket, on tensors; in one copy, as there are many of them."""
    octave = seconds.clamp(min=0).add_(1).log2_()
    return octave.mul_(GAPS_PER_DOUBLING).floor_().add_(1).clamp_(max=MAX_GAP).int()


def by_bucket(table_GX: Tensor, bucket: Tensor) -> Tensor:
    """What a table says of each of these buckets, in so many (X) tensors of their shape.

    For few columns and many places its gradient takes a fraction of what an embedding's takes.
    """
    looked_up: Tensor = _ByBucket.apply(table_GX, bucket)
    return looked_up


class _ByBucket(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table_GX: Tensor, bucket: Tensor) -> Tensor:
        ctx.save_for_backward(bucket)
        ctx.buckets = len(table_GX)
        return table_GX.T[:, bucket]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (bucket,) = ctx.saved_tensors
        every = bucket.flatten()
        sums = [torch.bincount(every, each.flatten(), ctx.buckets) for each in grads[0]]
        return torch.stack(sums, 1).to(grads[0].dtype), None


class Attention(nn.Module):
    """Asked positions gather from the tokens they see, by content and a given bias."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(
        self, asked_BQD: Tensor, x_BLD: Tensor, bias_HBQL: Tensor, seen_BQL: Tensor
    ) -> Tensor:
        q_BHQE = self._split(self.query(asked_BQD))
        k_BHLE, v_BHLE = self._split(self.key(x_BLD)), self._split(self.value(x_BLD))
        logit_BHQL = q_BHQE @ k_BHLE.transpose(2, 3) / sqrt(q_BHQE.shape[-1])
        logit_BHQL = logit_BHQL + bias_HBQL.transpose(0, 1)
        weight_BHQL = logit_BHQL.masked_fill(~seen_BQL[:, None], NEVER).softmax(-1)
        return self.out((weight_BHQL @ v_BHLE).transpose(1, 2).flatten(2))

    def _split(self, x_BLD: Tensor) -> Tensor:
        return x_BLD.unflatten(2, (self.heads, -1)).transpose(1, 2)


class Block(nn.Module):
    """Attention, then a feed-forward layer, each added to what it read (pre-norm)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(width)
        self.attention = Attention(width, heads)
        self.feed_forward = nn.Sequential(
            nn.RMSNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.feed_forward[-1].weight)  # type: ignore[arg-type]

    def forward(
        self, asked_BQD: Tensor, x_BLD: Tensor, bias_HBQL: Tensor, seen_BQL: Tensor
    ) -> Tensor:
        gathered_BQD = self.attention(self.norm(asked_BQD), self.norm(x_BLD), bias_HBQL, seen_BQL)
        asked_BQD = asked_BQD + self.dropout(gathered_BQD)
        return asked_BQD + self.dropout(self.feed_forward(asked_BQD))
