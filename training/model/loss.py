"""What the model is taught by: cross-entropy of the next type, and of the next item given its type.

B customers  Q asked positions  L tokens  D width  V items  N items to be named  U types and silence
X ways to name an item  S followers of an item
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from features.encoding import FIRST_ITEM_ROW, ITEM
from training.model.attention import NEVER
from training.model.model import Asked, Model

TINY = 1e-12
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
    wish_BQD = model.wish(asked.state_BQD) + F.embedding(type_BQ, model.type_TD)
    wish_ND, row_N = wish_BQD[named_BQ], answers.row_BQ[named_BQ]
    bias_N = F.embedding(row_N - FIRST_ITEM_ROW, model.items.bias_V[:, None])[:, 0]
    liked_N = (wish_ND * F.embedding(row_N, item_RD)).sum(-1) + bias_N
    any_N = log_sum_exp(wish_ND, item_RD[FIRST_ITEM_ROW:], model.items.bias_V)
    naming_XBQL = model.naming_logit(asked, F.embedding(type_BQ, model.naming_type_TY))
    naming_XNL = naming_XBQL[:, named_BQ]
    right_XNL, whole_XNL = naming_shares(model, row_BL, row_N, named_BQ)
    named_N = _log_weight(naming_XNL, right_XNL)
    all_N = torch.logaddexp(any_N, _log_weight(naming_XNL, whole_XNL))
    return all_N - torch.logaddexp(liked_N, named_N)


def _log_weight(logit_XNL: Tensor, share_XNL: Tensor) -> Tensor:
    weight_XNL = torch.where(share_XNL > 0, logit_XNL + share_XNL.clamp(min=TINY).log(), NEVER)
    return weight_XNL.movedim(0, 1).flatten(1).logsumexp(-1)


def naming_shares(
    model: Model, row_BL: Tensor, row_N: Tensor, named_BQ: Tensor
) -> tuple[Tensor, Tensor]:
    """Of what each token names: the share of the right item, and that of all items (X, N, L).

    While the model learns, the very step that it is to learn is not counted among those that
    went before (leave-one-out): it would have to be taken on trust when serving.
    """
    at_N, asked_N = named_BQ.nonzero().T
    row_NL = row_BL[at_N]
    right_NL = (row_NL == row_N[:, None]).float()
    follower_NLS, share_BLS = model.follower_RS[row_BL][at_N], model.share_RS[row_BL]
    next_NL = (share_BLS[at_N] * (follower_NLS == row_N[:, None, None])).sum(-1)
    whole_NL = share_BLS.sum(-1)[at_N]
    if model.training:
        last_N1 = _last_item(row_BL, named_BQ.shape[1])[at_N, asked_N][:, None]
        step_NL = (model.step_R[row_NL] * (row_NL == last_N1)).minimum(next_NL)
        next_NL, whole_NL = next_NL - step_NL, whole_NL - step_NL
    return torch.stack([right_NL, next_NL]), torch.stack([torch.ones_like(right_NL), whole_NL])


def _last_item(row_BL: Tensor, asked: int) -> Tensor:
    """The row of the newest item up to each of the last so many positions (B, Q)."""
    at_L = torch.arange(row_BL.shape[1], device=row_BL.device)
    newest_BL = torch.where(row_BL >= FIRST_ITEM_ROW, at_L, 0).cummax(1).values
    return row_BL.gather(1, newest_BL)[:, -asked:]


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
