"""How the tokens of a history name items again, and those that followed them, as nodes.

B customers  L tokens  D width  R item rows  T predicted types  K asked items
X ways to name an item: again, next  S followers of an item  P = 1 + S: itself, then its followers
"""

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor
from torch.nn import functional as F

from features.encoding import FIRST_ITEM_ROW
from training.export.graph import FLOAT, Graph, Value, int32
from training.export.reading import Read, Tokens
from training.model.model import MAX_NAMING, WAYS, Model


@dataclass(frozen=True, slots=True)
class Named:
    """What the tokens name, by place on the item axis, and how much by type."""

    place_BLP: Value
    share_BLP: Value  # 0 where nothing is named
    whole_BLX: Value  # their sums by way
    weight_BYT: Value  # Y = L * X


def name(
    g: Graph, model: Model, tokens: Tokens, read: Read, query_BD: Value, most_B1: Value
) -> Named:
    """See model.Model.naming_logit; `query_BD` is made by query_of, weights are relative to most.

    Fresh items, whose row is R here, have no followers.
    """
    itself_BL = g.Max(g.Sub(tokens.row_BL, int32(FIRST_ITEM_ROW)), int32(0))
    follower_BLS = g.Gather(_follower_places(model), tokens.known_BL)
    share_RP, way_PX = _shares(model), _ways(model)
    return Named(
        g.Concat(g.Unsqueeze(itself_BL, [2]), follower_BLS, axis=2),
        g.Gather(share_RP, tokens.known_BL),
        g.Gather(share_RP @ way_PX, tokens.known_BL),
        _weights(g, model, read, query_BD, most_B1),
    )


def _weights(g: Graph, model: Model, read: Read, query_BD: Value, most_B1: Value) -> Value:
    """What the state asks is the same for all types, and what types add the same for all states."""
    query_BXD = g.Reshape(query_BD, [0, WAYS, model.config.width])
    logit_BLX = g.MatMul(read.x_BLD, g.Transpose(query_BXD, perm=[0, 2, 1]))
    logit_BLX = g.Add(logit_BLX, read.near_BLX)
    type_XTD = model.naming_type_TY.unflatten(1, (WAYS, -1)).movedim(1, 0) @ _keys(model)
    logit_BLZ = g.MatMul(read.x_BLD, type_XTD.flatten(0, 1).T)
    logit_BYT = g.Reshape(logit_BLZ, [0, -1, model.config.type_count])
    logit_BYT = g.Add(logit_BYT, g.Reshape(logit_BLX, [0, -1, 1]))
    logit_BYT = g.Min(logit_BYT, MAX_NAMING)
    return g.Exp(g.Sub(logit_BYT, g.Unsqueeze(most_B1, [2])))


def query_of(model: Model) -> Tensor:
    """From the state to what is compared with tokens, by way (D, X * D)."""
    query_XDD = model.naming_query.weight.unflatten(0, (WAYS, -1))
    compare_XDD = query_XDD.transpose(1, 2) @ _keys(model)
    return compare_XDD.movedim(0, 1).flatten(1)


def sums(g: Graph, named: Named) -> Value:
    """The weight of all that is named together (B, T)."""
    whole_B1Y = g.Reshape(named.whole_BLX, [0, 1, -1])
    return g.Squeeze(g.MatMul(whole_B1Y, named.weight_BYT), [1])


def by_place(g: Graph, model: Model, named: Named, weighted_BT: Value) -> tuple[Value, Value]:
    """Places, and how much each is named by all types together (B, M = L * P)."""
    weight_BY1 = g.MatMul(named.weight_BYT, g.Unsqueeze(weighted_BT, [2]))
    weight_BLP = g.MatMul(g.Reshape(weight_BY1, [0, -1, WAYS]), _ways(model).T)
    weight_BLP = g.Mul(weight_BLP, named.share_BLP)
    return g.Reshape(named.place_BLP, [0, -1]), g.Reshape(weight_BLP, [0, -1])


def joint(g: Graph, model: Model, named: Named, item_BK: Value) -> Value:
    """How much these items are named, by type (B, K, T)."""
    same_BKLP = g.Equal(g.Unsqueeze(item_BK, [2, 3]), g.Unsqueeze(named.place_BLP, [1]))
    share_BKLP = g.Mul(g.Cast(same_BKLP, to=FLOAT), g.Unsqueeze(named.share_BLP, [1]))
    share_BKLX = g.MatMul(share_BKLP, _ways(model))
    return g.MatMul(g.Reshape(share_BKLX, [0, 0, -1]), named.weight_BYT)


def _keys(model: Model) -> Tensor:
    key_XDD = model.naming_key.weight.unflatten(0, (WAYS, -1))
    return key_XDD / sqrt(model.config.width)


def _follower_places(model: Model) -> Tensor:
    place_RS = (model.follower_RS - FIRST_ITEM_ROW).clamp(min=0)
    return F.pad(place_RS, (0, 0, 0, 1)).int()


def _shares(model: Model) -> Tensor:
    """How an item is shared out to itself and to its followers (R + 1, P)."""
    share_RS = model.share_RS.masked_fill(model.follower_RS < FIRST_ITEM_ROW, 0)
    share_RP = F.pad(F.pad(share_RS, (0, 0, 0, 1)), (1, 0), value=1.0)
    share_RP[:FIRST_ITEM_ROW] = 0
    return share_RP


def _ways(model: Model) -> Tensor:
    """Which of P are again, which next (P, X)."""
    again_P = torch.arange(1 + model.follower_RS.shape[1]) == 0
    return torch.stack([again_P, ~again_P], 1).float()
