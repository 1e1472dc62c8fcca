"""What the model is taught by: cross-entropy of the next type, and of the next item given its type.

B customers  Q asked positions  L tokens  D width  V items  N items to be named  U types and silence
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from features.encoding import FIRST_ITEM_ROW, ITEM
from training.attention import NEVER
from training.model import Asked, Model

CHUNK_BYTES = 8 << 20
"""Logits are made and used in chunks that stay in cache: 79 ms instead of 218 for 2048 x 9500."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What really came next at each asked position."""

    type_BQ: Tensor  # index into the types and silence; -1 where nothing is to be learnt
    row_BQ: Tensor  # item row; below FIRST_ITEM_ROW where there is no item to be named


def losses(model: Model, tokens_BLF: Tensor, context_BQC: Tensor, answers: Answers) -> Tensor:
    """The losses of intent and of item (2), each summed over the positions that have it."""
    item_RD = model.items()
    asked = model(tokens_BLF, context_BQC, item_RD)
    asked_BQ = answers.type_BQ >= 0
    named_BQ = asked_BQ & (answers.row_BQ >= FIRST_ITEM_ROW)
    intent_NU = model.intent(asked.state_BQD[asked_BQ])
    intent = F.cross_entropy(intent_NU, answers.type_BQ[asked_BQ], reduction="sum")
    item_N = item_loss(model, asked, tokens_BLF[..., ITEM], item_RD, answers, named_BQ)
    return torch.stack([intent, item_N.sum()])


def item_loss(
    model: Model,
    asked: Asked,
    row_BL: Tensor,
    item_RD: Tensor,
    answers: Answers,
    named_BQ: Tensor,
) -> Tensor:
    """-log P(item | type), over the whole catalog, of each position in `named_BQ` (N)."""
    type_BQ = torch.where(named_BQ, answers.type_BQ, 0)
    copy_BQL = model.copy_logit(asked, F.embedding(type_BQ, model.copy_type_TD))
    wish_BQD = model.wish(asked.state_BQD) + F.embedding(type_BQ, model.type_TD)
    wish_ND, copy_NL, row_N = wish_BQD[named_BQ], copy_BQL[named_BQ], answers.row_BQ[named_BQ]
    same_NL = row_BL[named_BQ.nonzero()[:, 0]] == row_N[:, None]
    bias_N = F.embedding(row_N - FIRST_ITEM_ROW, model.items.bias_V[:, None])[:, 0]
    liked_N = (wish_ND * F.embedding(row_N, item_RD)).sum(-1) + bias_N
    copied_N = copy_NL.masked_fill(~same_NL, NEVER).logsumexp(-1)
    any_N = log_sum_exp(wish_ND, item_RD[FIRST_ITEM_ROW:], model.items.bias_V)
    all_N = torch.logaddexp(any_N, copy_NL.logsumexp(-1))
    return all_N - torch.logaddexp(liked_N, copied_N)


def log_sum_exp(wish_ND: Tensor, item_VD: Tensor, bias_V: Tensor) -> Tensor:
    """log of the sum over V of exp(wish . item + bias), chunk by chunk."""
    rows = max(1, CHUNK_BYTES // (4 * len(item_VD)))
    return torch.cat([_LogSumExp.apply(each, item_VD, bias_V) for each in wish_ND.split(rows)])


class _LogSumExp(torch.autograd.Function):
    """Keeps one N x V matrix for the way back, and works in place."""

    @staticmethod
    def forward(ctx: Any, wish_ND: Tensor, item_VD: Tensor, bias_V: Tensor) -> Tensor:
        exp_NV = torch.addmm(bias_V, wish_ND, item_VD.T)
        most_N1 = exp_NV.amax(1, keepdim=True)
        exp_NV.sub_(most_N1).exp_()
        sum_N1 = exp_NV.sum(1, keepdim=True)
        ctx.save_for_backward(wish_ND, item_VD, exp_NV, sum_N1)
        return (most_N1 + sum_N1.log())[:, 0]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        wish_ND, item_VD, exp_NV, sum_N1 = ctx.saved_tensors
        scale_N1 = grads[0][:, None] / sum_N1
        return (
            (exp_NV @ item_VD) * scale_N1,
            exp_NV.T @ (wish_ND * scale_N1),
            exp_NV.T @ scale_N1[:, 0],
        )
