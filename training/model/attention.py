"""How asked positions look back: attention by content, by distance in tokens, and by age in time.

B customers  L tokens  Q asked positions, the last of L  D width  H heads  E width a head
"""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from features.encoding import GAP, GAPS_PER_DOUBLING, MAX_GAP, TYPE

NEVER = -1e9


@dataclass(frozen=True, slots=True)
class Lookback:
    """What each asked position sees of the tokens up to it."""

    distance_QL: Tensor  # how many tokens ago; 0 for those to come, which are not seen
    unseen_B1QL: Tensor  # NEVER for what is to come and for padding; a position sees itself


def look_back(tokens_BLF: Tensor, Q: int) -> Lookback:
    """The view from the last Q positions."""
    L = tokens_BLF.shape[1]
    at_L = torch.arange(L, device=tokens_BLF.device)
    distance_QL = at_L[L - Q :, None] - at_L
    held_B1L = tokens_BLF[:, None, :, TYPE] > 0
    seen_BQL = (distance_QL >= 0) & held_B1L | (distance_QL == 0)
    unseen_BQL = torch.zeros(seen_BQL.shape, device=at_L.device).masked_fill_(~seen_BQL, NEVER)
    return Lookback(distance_QL.clamp(min=0), unseen_BQL[:, None])


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
    return octave.mul_(GAPS_PER_DOUBLING).int().add_(1).clamp_(max=MAX_GAP)


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


class Nearness(nn.Module):
    """Learned weights for what lies so many tokens, and so long, ago."""

    def __init__(self, max_length: int, width: int) -> None:
        super().__init__()
        self.by_distance = nn.Embedding(max_length, width)
        self.by_age = nn.Embedding(MAX_GAP + 1, width)

    def forward(self, distance_QL: Tensor, age_BQL: Tensor) -> Tensor:
        """For so many (width) tables (X, B, Q, L)."""
        near_XQL = by_bucket(self.by_distance.weight, distance_QL)
        return near_XQL[:, None] + by_bucket(self.by_age.weight, age_BQL)


class Attention(nn.Module):
    """Asked positions gather from the tokens, by content and a given bias: NEVER for unseen."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, asked_BQD: Tensor, x_BLD: Tensor, bias_BHQL: Tensor) -> Tensor:
        q_ZQE, k_ZLE, v_ZLE = (  # Z = B * H
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2).flatten(0, 1)
            for layer, x in ((self.query, asked_BQD), (self.key, x_BLD), (self.value, x_BLD))
        )
        bias_ZQL, scale = bias_BHQL.flatten(0, 1), 1 / sqrt(q_ZQE.shape[-1])
        logit_ZQL = torch.baddbmm(bias_ZQL, q_ZQE, k_ZLE.transpose(1, 2), alpha=scale)
        read_BHQE = (logit_ZQL.softmax(-1) @ v_ZLE).unflatten(0, (-1, self.heads))
        return self.out(read_BHQE.transpose(1, 2).flatten(2))


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

    def forward(self, asked_BQD: Tensor, x_BLD: Tensor, bias_BHQL: Tensor) -> Tensor:
        norm_BLD = self.norm(x_BLD)
        norm_BQD = norm_BLD if asked_BQD is x_BLD else self.norm(asked_BQD)
        gathered_BQD = self.attention(norm_BQD, norm_BLD, bias_BHQL)
        asked_BQD = asked_BQD + self.dropout(gathered_BQD)
        return asked_BQD + self.dropout(self.feed_forward(asked_BQD))
