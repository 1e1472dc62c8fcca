"""How the tokens of a history name items again, and those that followed them, as nodes.

B customers  L tokens  N newest of them, which name  D width  R item rows  T predicted types
K asked items
X ways to name an item: again, next  S followers of an item  P = 1 + S: itself, then its followers
"""

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor
from torch.nn import functional as F

from features.encoding import FIRST_ITEM_ROW
from training.export.graph import END, FLOAT, Graph, Value, int32
from training.export.reading import Read, Tokens, nearness
from training.model.naming import MAX_NAMING, WAYS, Naming


@dataclass(frozen=True, slots=True)
class Named:
    """What the tokens name, by place on the item axis, and how much by type."""

    place_BNP: Value
    share_BNP: Value  # 0 where nothing is named
    whole_BNX: Value  # their sums by way
    weight_BYT: Value  # Y = N * X
    way_PX: Tensor  # which of P are again, which next


def name(
    g: Graph, naming: Naming, tokens: Tokens, read: Read, query_BD: Value, most_B1: Value
) -> Named:
    """See model.Naming; `query_BD` is made by query_of, weights are relative to most.

    Fresh items, whose row is R here, have no followers.
    """
    row_BN, known_BN, x_BND, age_BN = (
        g.Slice(each, [-naming.reach], [END], [1])
        for each in (tokens.row_BL, tokens.known_BL, read.x_BLD, read.age_BL)
    )
    itself_BN = g.Max(g.Sub(row_BN, int32(FIRST_ITEM_ROW)), int32(0))
    follower_BNS = g.Gather(_follower_places(naming), known_BN)
    share_RP, way_PX = _shares(naming), _ways(naming)
    near_BNX = nearness(g, naming.nearness, tokens, age_BN)
    return Named(
        g.Concat(g.Unsqueeze(itself_BN, [2]), follower_BNS, axis=2),
        g.Gather(share_RP, known_BN),
        g.Gather(share_RP @ way_PX, known_BN),
        _weights(g, naming, x_BND, near_BNX, query_BD, most_B1),
        way_PX,
    )


def _weights(
    g: Graph, naming: Naming, x_BND: Value, near_BNX: Value, query_BD: Value, most_B1: Value
) -> Value:
    """What the state asks is the same for all types, and what types add the same for all states."""
    types, width = len(naming.type_TY), naming.key.in_features
    query_BXD = g.Reshape(query_BD, [0, WAYS, width])
    logit_BNX = g.MatMul(x_BND, g.Transpose(query_BXD, perm=[0, 2, 1]))
    logit_BNX = g.Add(logit_BNX, near_BNX)
    type_XTD = naming.type_TY.unflatten(1, (WAYS, -1)).movedim(1, 0) @ _keys(naming)
    logit_BNZ = g.MatMul(x_BND, type_XTD.flatten(0, 1).T)
    logit_BYT = g.Reshape(logit_BNZ, [0, -1, types])
    logit_BYT = g.Add(logit_BYT, g.Reshape(logit_BNX, [0, -1, 1]))
    logit_BYT = g.Min(logit_BYT, MAX_NAMING)
    return g.Exp(g.Sub(logit_BYT, g.Unsqueeze(most_B1, [2])))


def query_of(naming: Naming) -> Tensor:
    """From the state to what is compared with tokens, by way (D, X * D)."""
    query_XDD = naming.query.weight.unflatten(0, (WAYS, -1))
    compare_XDD = query_XDD.transpose(1, 2) @ _keys(naming)
    return compare_XDD.movedim(0, 1).flatten(1)


def sums(g: Graph, named: Named) -> Value:
    """The weight of all that is named together (B, T)."""
    whole_B1Y = g.Reshape(named.whole_BNX, [0, 1, -1])
    return g.Squeeze(g.MatMul(whole_B1Y, named.weight_BYT), [1])


def by_place(g: Graph, named: Named, weighted_BT: Value) -> tuple[Value, Value]:
    """Places, and how much each is named by all types together (B, M = N * P)."""
    weight_BY1 = g.MatMul(named.weight_BYT, g.Unsqueeze(weighted_BT, [2]))
    weight_BNP = g.MatMul(g.Reshape(weight_BY1, [0, -1, WAYS]), named.way_PX.T)
    weight_BNP = g.Mul(weight_BNP, named.share_BNP)
    return g.Reshape(named.place_BNP, [0, -1]), g.Reshape(weight_BNP, [0, -1])


def joint(g: Graph, named: Named, item_BK: Value) -> Value:
    """How much these items are named, by type (B, K, T)."""
    same_BKNP = g.Equal(g.Unsqueeze(item_BK, [2, 3]), g.Unsqueeze(named.place_BNP, [1]))
    share_BKNP = g.Mul(g.Cast(same_BKNP, to=FLOAT), g.Unsqueeze(named.share_BNP, [1]))
    share_BKNX = g.MatMul(share_BKNP, named.way_PX)
    return g.MatMul(g.Reshape(share_BKNX, [0, 0, -1]), named.weight_BYT)


def _keys(naming: Naming) -> Tensor:
    key_XDD = naming.key.weight.unflatten(0, (WAYS, -1))
    return key_XDD / sqrt(naming.key.in_features)


def _follower_places(naming: Naming) -> Tensor:
    place_RS = (naming.follower_RS - FIRST_ITEM_ROW).clamp(min=0)
    return F.pad(place_RS, (0, 0, 0, 1)).int()


def _shares(naming: Naming) -> Tensor:
    """How an item is shared out to itself and to its followers (R + 1, P)."""
    share_RS = naming.share_RS.masked_fill(naming.follower_RS < FIRST_ITEM_ROW, 0)
    share_RP = F.pad(F.pad(share_RS, (0, 0, 0, 1)), (1, 0), value=1.0)
    share_RP[:FIRST_ITEM_ROW] = 0
    return share_RP


def _ways(naming: Naming) -> Tensor:
    """Which of P are again, which next (P, X)."""
    again_P = torch.arange(1 + naming.follower_RS.shape[1]) == 0
    return torch.stack([again_P, ~again_P], 1).float()
