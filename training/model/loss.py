"""What the model is taught by: cross-entropy of the next type, and of the next item given its type.

B customers  Q asked positions  L tokens  D width  V items  N items to be named  U types and silence
X ways to name an item  K tokens that may name one, the newest first
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from features.encoding import FIRST_ITEM_ROW, ITEM
from training.model.attention import NEVER
from training.model.model import Asked, Model
from training.model.naming import within_reach
from training.model.partition import sum_log_all
from training.model.sampling import Shelf, whole

TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Answers:
    """What really came next at each asked position."""

    type_BQ: Tensor  # index into the types and silence; -1 where nothing is to be learnt
    row_BQ: Tensor  # item row; below FIRST_ITEM_ROW where there is no item to be named


def losses(
    model: Model,
    tokens_BLF: Tensor,
    context_BQC: Tensor,
    answers: Answers,
    shelf: Shelf | None = None,
    *,
    bfloat16: bool = False,
) -> Tensor:
    """The losses of intent and of item (2), each summed over the positions that have it.

    With a shelf of sampled items the sum over the catalog is an estimate: see sampling.draw. What
    the tokens name, and the right item, are counted exactly in any case. `bfloat16` is what
    the transformer computes in; its heads and the losses do not.
    """
    shelf = shelf or whole(model.items)
    placed_BLF = tokens_BLF.clone()
    placed_BLF[..., ITEM] = shelf.place(tokens_BLF[..., ITEM])
    with torch.autocast(tokens_BLF.device.type, torch.bfloat16, enabled=bfloat16):
        asked = model(placed_BLF, context_BQC, shelf.item_MD)
    asked = _in_float32(asked)
    asked_BQ = answers.type_BQ >= 0
    named_BQ = asked_BQ & (answers.row_BQ >= FIRST_ITEM_ROW)
    intent_NU = model.intent(asked.state_BQD[asked_BQ])
    intent = F.cross_entropy(intent_NU, answers.type_BQ[asked_BQ], reduction="sum")
    item = item_loss(model, asked, tokens_BLF[..., ITEM], shelf, answers, named_BQ)
    return torch.stack([intent, item])


def _in_float32(asked: Asked) -> Asked:
    return replace(asked, state_BQD=asked.state_BQD.float(), x_BLD=asked.x_BLD.float())


def item_loss(
    model: Model,
    asked: Asked,
    row_BL: Tensor,
    shelf: Shelf,
    answers: Answers,
    named_BQ: Tensor,
) -> Tensor:
    """The sum of -log P(item | type), over the whole catalog, of the positions in `named_BQ` (N).

    With liked and any for exp(logit) of the right item and of all, and named and whole for what
    the tokens give to either: log(any + whole) - log(liked + named). Only `any` may be estimated.
    """
    type_BQ = torch.where(named_BQ, answers.type_BQ, 0)
    wish_BQD = model.wish(asked.state_BQD) + F.embedding(type_BQ, model.type_TD)
    wish_ND, row_N = wish_BQD[named_BQ], answers.row_BQ[named_BQ]
    place_N = shelf.place(row_N)
    liked_N = (wish_ND * F.embedding(place_N, shelf.item_MD)).sum(-1)
    liked_N = liked_N + F.embedding(place_N, shelf.bias_M[:, None])[:, 0]
    right_N, named_N = liked_N, torch.full_like(liked_N, NEVER)
    if naming := model.naming:
        near = within_reach(row_BL, named_BQ, naming.reach)
        type_BQY = F.embedding(type_BQ, naming.type_TY)
        logit_XNK = naming.logit(asked.state_BQD, type_BQY, asked.x_BLD, asked.age_BQL, near)
        new_NK, new_N = shelf.new_M[shelf.place(near.row_NK)], shelf.new_M[place_N]
        right_XNK, whole_XNK = naming.shares(near.row_NK, row_N, new_NK, new_N)
        right_N = torch.logaddexp(liked_N, _log_weight(logit_XNK, right_XNK))
        named_N = _log_weight(logit_XNK, whole_XNK)
    return sum_log_all(wish_ND, shelf.item_MD, shelf.bias_M, named_N) - right_N.sum()


def _log_weight(logit_XNK: Tensor, share_XNK: Tensor) -> Tensor:
    weight_XNK = torch.where(share_XNK > 0, logit_XNK + share_XNK.clamp(min=TINY).log(), NEVER)
    return weight_XNK.movedim(0, 1).flatten(1).logsumexp(-1)
