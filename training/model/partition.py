"""The sum over the catalog in the item loss, and its gradients, never whole in memory.

N positions  V items  D width  Z = D + 1  T items of a tile
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

TILE_ITEMS = 1 << 15
TILE_BYTES = 8 << 20
"""Logits are made and used in tiles that stay in cache."""


def sum_log_all(wish_ND: Tensor, item_VD: Tensor, bias_V: Tensor, named_N: Tensor) -> Tensor:
    """The sum over N of log(exp(named) + the sum over V of exp(wish . item + bias)).

    The gradients are made on the way forth, while a tile is at hand: nothing of N x V is kept for
    the way back, nor made again where a tile holds the catalog.
    """
    wish_NZ = F.pad(wish_ND, (0, 1), value=1.0)
    item_VZ = torch.cat([item_VD, bias_V[:, None]], 1)
    total: Tensor = _SumLogAll.apply(wish_NZ, item_VZ, named_N)
    return total


class _SumLogAll(torch.autograd.Function):
    """Its one output is a sum, so that all gradients but a common factor are known at once."""

    @staticmethod
    def forward(ctx: Any, wish_NZ: Tensor, item_VZ: Tensor, named_N: Tensor) -> Tensor:
        learning = any(ctx.needs_input_grad)
        wish_grads, named_grads = [], []
        item_grad_VZ = torch.zeros_like(item_VZ) if learning else None
        total = wish_NZ.new_zeros(())
        rows = max(1, TILE_BYTES // (4 * min(len(item_VZ), TILE_ITEMS)))
        for wish_nZ, named_n in zip(wish_NZ.split(rows), named_N.split(rows), strict=True):
            any_n1, shares = _summed(wish_nZ, item_VZ)
            all_n1 = torch.logaddexp(any_n1, named_n[:, None])
            total += all_n1.sum()
            if item_grad_VZ is None:
                continue
            wish_grads.append(torch.zeros_like(wish_nZ))
            named_grads.append((named_n - all_n1[:, 0]).exp())
            for at, share_nT, scale_n1 in shares:
                weight_n1 = (any_n1 - all_n1).exp() * scale_n1
                wish_grads[-1] += (share_nT @ item_VZ[at]) * weight_n1
                item_grad_VZ[at].addmm_(share_nT.T, wish_nZ * weight_n1)
        if item_grad_VZ is not None:
            ctx.save_for_backward(_joined(wish_grads, wish_NZ), item_grad_VZ,
                                  _joined(named_grads, named_N))  # fmt: skip
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        return tuple(each * grads[0] for each in ctx.saved_tensors)


def _joined(parts: list[Tensor], like: Tensor) -> Tensor:
    return torch.cat(parts) if parts else torch.zeros_like(like)


Shares = Iterator[tuple[slice, Tensor, Tensor]]  # of a tile's items, and what scales them to shares


def _summed(wish_nZ: Tensor, item_VZ: Tensor) -> tuple[Tensor, Shares]:
    """log of the sum over V (n, 1), and each item's share of the sum, tile by tile."""
    starts = range(0, len(item_VZ), TILE_ITEMS)
    if len(starts) == 1:
        most_n1, sum_n1, exp_nV = _exponentials(wish_nZ, item_VZ)
        return most_n1 + sum_n1.log(), iter([(slice(None), exp_nV, 1 / sum_n1)])
    tiles = [slice(start, start + TILE_ITEMS) for start in starts]
    any_n1 = torch.full_like(wish_nZ[:, :1], -torch.inf)
    for at in tiles:
        most_n1, sum_n1, _ = _exponentials(wish_nZ, item_VZ[at])
        any_n1 = torch.logaddexp(any_n1, most_n1 + sum_n1.log())
    one_n1 = torch.ones_like(any_n1)
    return any_n1, (
        (at, (wish_nZ @ item_VZ[at].T).sub_(any_n1).exp_(), one_n1) for at in tiles
    )  # made a second time


def _exponentials(wish_nZ: Tensor, item_TZ: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    exp_nT = wish_nZ @ item_TZ.T
    most_n1 = exp_nT.amax(1, keepdim=True)
    exp_nT.sub_(most_n1).exp_()
    return most_n1, exp_nT.sum(1, keepdim=True), exp_nT
