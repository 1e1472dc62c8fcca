"""What the model is taught by: cross-entropy of the next type, and of the next item given its type.

B customers  Q asked positions  L tokens  D width  V items  N items to be named  U types and silence
X ways to name an item  S followers of an item
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from features.encoding import FIRST_ITEM_ROW, ITEM
from training.model.attention import NEVER
from training.model.model import Asked, Model
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
    state_BQD, key_XBLD = asked.state_BQD.float(), asked.key_XBLD.float()
    return replace(asked, state_BQD=state_BQD, key_XBLD=key_XBLD)


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
    naming_XBQL = model.naming_logit(asked, F.embedding(type_BQ, model.naming_type_TY))
    naming_XNL = naming_XBQL[:, named_BQ]
    right_XNL, whole_XNL = naming_shares(model, row_BL, row_N, named_BQ)
    right_N = torch.logaddexp(liked_N, _log_weight(naming_XNL, right_XNL))
    whole_N = _log_weight(naming_XNL, whole_XNL)
    return sum_log_all(wish_ND, shelf.item_MD, shelf.bias_M, whole_N) - right_N.sum()


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
    next_NL = model.share_of(row_NL, row_N[:, None])
    whole_NL = model.share_RS[row_BL].sum(-1)[at_N]
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
