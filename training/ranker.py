"""The graph that serves: from encoded histories to intents, and the best items of the catalog.

Items are scored tile by tile; the fresh items, which the model has not been trained on, are a tile
of their own. The best K of each tile compete for the answer, which therefore is exact.
See model.py for the probabilities.

B customers  L tokens  F token fields  C context fields  D width  Z = D + 1: a vector, then a bias
V items  N fresh items  E masks over V + N items  R item rows, the fresh ones after them
T predicted types  U = T + 1, silence last  K asked items  I items of a tile
S followers of an item  M = L + L * S: what the tokens name
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from features.encoding import FIRST_ITEM_ROW, ITEM
from training.attention import NEVER
from training.model import Model
from training.reading import Read, Reader

TILE = 1 << 16  # items
MOST_TILES = 16  # 20 s to export one, 37 s to export 16, 57 s to export 32
UNAVAILABLE = -1.0  # below every probability
AVAILABLE = 1e30  # above every probability


@dataclass(frozen=True, slots=True)
class Named:
    """What the tokens name: themselves and followers by row, and how much by type."""

    row_BL: Tensor  # below FIRST_ITEM_ROW for tokens that name nothing, whatever their weight
    follower_BLS: Tensor
    share_BLS: Tensor
    again_BTL: Tensor
    next_BTL: Tensor


@dataclass(frozen=True, slots=True)
class Tile:
    """Neighbouring items: how much they are liked by customers, relative to the most liked one."""

    start: int
    liked_BI: Tensor
    most_B1: Tensor  # what the most liked one has, as a log weight
    likes_TI: Tensor  # the factor that types add


class Ranker(nn.Module):
    """A trained model whose item vectors, and what types add to them, have become constants."""

    item_RZ: Tensor
    type_TD: Tensor
    likes_TV: Tensor

    def __init__(self, model: Model, *, tile: int | None = None) -> None:
        super().__init__()
        self.model = model.eval()
        self.tile = tile or max(TILE, ceil(model.config.item_count / MOST_TILES))
        self.reader = Reader(model)
        item_RD = model.items().detach()
        bias_R = F.pad(model.items.bias_V.detach(), (FIRST_ITEM_ROW, 0))
        self.register_buffer("item_RZ", torch.cat([item_RD, bias_R[:, None]], 1))
        self.register_buffer("type_TD", model.type_TD.detach().clone())
        self.register_buffer("likes_TV", _likes(self.type_TD, self.item_RZ[FIRST_ITEM_ROW:]))

    def forward(
        self,
        tokens_BLF: Tensor,
        context_BC: Tensor,
        weight_BT: Tensor,
        eligible_EV: Tensor,
        mask_B: Tensor,
        fresh_NZ: Tensor,
        k: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See features.artefact.INPUTS and OUTPUTS."""
        # 1. What is known of the customers, and which type comes next.
        row_BL = tokens_BLF[..., ITEM]
        read = self.reader(self._vectors(row_BL, fresh_NZ)[..., :-1], tokens_BLF, context_BC)
        intent_BU = self.model.intent(read.state_BD).softmax(-1)
        # 2. How much each item is liked, and named by tokens, up to a factor for each type.
        wish_BD = self.model.wish(read.state_BD)
        tiles = self._tiles(_with_one(wish_BD), fresh_NZ)
        most_B1 = _most(tiles, read, row_BL)
        named = self._named(row_BL, read, most_B1)
        share_BT = intent_BU[:, :-1] / _sums(tiles, named, most_B1)
        # 3. The ranking: all types together, weighted.
        score_BK, item_BK = _top(
            tiles, named, most_B1, weight_BT * share_BT, eligible_EV, mask_B, k
        )
        # 4. The joint probabilities of the items asked for.
        row_BK = item_BK.int() + FIRST_ITEM_ROW
        wish_BTZ = _with_one(wish_BD[:, None] + self.type_TD)
        logit_BKT = self._vectors(row_BK, fresh_NZ) @ wish_BTZ.transpose(1, 2)
        joint_BKT = (logit_BKT - most_B1[..., None]).exp() + _joint_naming(named, row_BK)
        eligible_BK1 = score_BK[..., None] >= 0
        return intent_BU, item_BK, torch.where(eligible_BK1, joint_BKT * share_BT[:, None], 0.0)

    def _vectors(self, row: Tensor, fresh_NZ: Tensor) -> Tensor:
        """Vector and bias of each row; those from R on are of fresh items."""
        R = len(self.item_RZ)
        fresh = row >= R
        known_Z = F.embedding(torch.where(fresh, 0, row), self.item_RZ)
        fresh_Z = F.embedding(torch.where(fresh, row - R, 0), fresh_NZ)
        return torch.where(fresh[..., None], fresh_Z, known_Z)

    def _tiles(self, wish_BZ: Tensor, fresh_NZ: Tensor) -> list[Tile]:
        V, item_VZ = self.likes_TV.shape[1], self.item_RZ[FIRST_ITEM_ROW:]
        tiles = []
        for start in range(0, V, self.tile):
            part = slice(start, min(start + self.tile, V))
            tiles.append(_tile(start, wish_BZ, item_VZ[part], self.likes_TV[:, part]))
        return [*tiles, _tile(V, wish_BZ, fresh_NZ, _likes(self.type_TD, fresh_NZ))]

    def _named(self, row_BL: Tensor, read: Read, most_B1: Tensor) -> Named:
        """Fresh items have no followers."""
        known_BL = torch.where(row_BL < len(self.item_RZ), row_BL, 0)
        return Named(
            row_BL,
            F.embedding(known_BL, self.model.follower_RS),
            F.embedding(known_BL, self.model.share_RS),
            *(
                (each_BTL - most_B1[..., None]).clamp(max=0).exp()  # above: names nothing
                for each_BTL in (read.again_BTL, read.next_BTL)
            ),
        )


def _with_one(wish: Tensor) -> Tensor:
    return F.pad(wish, (0, 1), value=1.0)


def _likes(type_TD: Tensor, item_IZ: Tensor) -> Tensor:
    return (type_TD @ item_IZ[:, :-1].T).exp()


def _tile(start: int, wish_BZ: Tensor, item_IZ: Tensor, likes_TI: Tensor) -> Tile:
    logit_BI = wish_BZ @ item_IZ.T
    most_B1 = logit_BI.amax(1, keepdim=True)
    return Tile(start, (logit_BI - most_B1).exp(), most_B1, likes_TI)


def _most(tiles: Sequence[Tile], read: Read, row_BL: Tensor) -> Tensor:
    """The largest log weight of each customer: relative to it nothing overflows."""
    named_BL = torch.maximum(read.again_BTL, read.next_BTL).amax(1)
    named_BL = torch.where(row_BL >= FIRST_ITEM_ROW, named_BL, NEVER)
    return torch.cat([*(each.most_B1 for each in tiles), named_BL], 1).amax(1, keepdim=True)


def _sums(tiles: Sequence[Tile], named: Named, most_B1: Tensor) -> Tensor:
    """The weight of all items together (B, T)."""
    whole_BL1 = named.share_BLS.sum(-1, keepdim=True)
    one_BL1 = (named.row_BL >= FIRST_ITEM_ROW).float()[..., None]
    sum_BT = (named.again_BTL @ one_BL1 + named.next_BTL @ whole_BL1)[..., 0]
    for each in tiles:
        sum_BT = sum_BT + (each.liked_BI @ each.likes_TI.T) * (each.most_B1 - most_B1).exp()
    return sum_BT


def _top(
    tiles: Sequence[Tile],
    named: Named,
    most_B1: Tensor,
    weighted_BT: Tensor,
    eligible_EV: Tensor,
    mask_B: Tensor,
    k: Tensor,
) -> tuple[Tensor, Tensor]:
    """Scores and indexes of the best k items."""
    again_BL, next_BL = (
        (weighted_BT[:, None] @ each)[:, 0] for each in (named.again_BTL, named.next_BTL)
    )
    next_BM = (next_BL[..., None] * named.share_BLS).flatten(1)
    by_token = named.row_BL, again_BL
    by_all = (
        torch.cat([named.row_BL, named.follower_BLS.flatten(1)], 1),
        torch.cat([again_BL, next_BM], 1),
    )
    most_EV = eligible_EV.float() * AVAILABLE + UNAVAILABLE
    scores, items = [], []
    for each in tiles:
        end = each.start + each.liked_BI.shape[1]
        weighted = weighted_BT * (each.most_B1 - most_B1).exp()
        score_BI = each.liked_BI * (weighted @ each.likes_TI)
        last = each is tiles[-1]
        score_BI = _add(score_BI, each.start, *(by_token if last else by_all), last=last)
        score_BI = score_BI.minimum(F.embedding(mask_B, most_EV[:, each.start : end]))
        score_BK, item_BK = score_BI.topk(_count(k, score_BI.shape[1]), dim=1)
        scores.append(score_BK)
        items.append(item_BK + each.start)
    best_BC, item_BC = torch.cat(scores, 1), torch.cat(items, 1)
    score_BK, at_BK = best_BC.topk(_count(k, best_BC.shape[1]), dim=1)
    return score_BK, item_BC.gather(1, at_BK)


def _add(score_BI: Tensor, start: int, row_BM: Tensor, named_BM: Tensor, *, last: bool) -> Tensor:
    """With what is named by tokens, as far as it is of the tile."""
    at_BM = row_BM - (FIRST_ITEM_ROW + start)
    inside_BM = at_BM >= 0
    if not last:  # no row is beyond; and a GPU would have to ask the CPU how many are fresh
        inside_BM &= at_BM < score_BI.shape[1]
    at_BM = torch.where(inside_BM, at_BM, 0).long()
    return score_BI.scatter_add(1, at_BM, torch.where(inside_BM, named_BM, 0.0))


def _joint_naming(named: Named, row_BK: Tensor) -> Tensor:
    """How much these rows are named, by type (B, K, T)."""
    same_BKL = (row_BK[..., None] == named.row_BL[:, None]).float()
    follows_BKLS = row_BK[..., None, None] == named.follower_BLS[:, None]
    share_BKL = torch.where(follows_BKLS, named.share_BLS[:, None], 0.0).sum(-1)
    again_BKT = same_BKL @ named.again_BTL.transpose(1, 2)
    return again_BKT + share_BKL @ named.next_BTL.transpose(1, 2)


def _count(k: Tensor, most: int) -> int:
    """min(k, most); read from a tensor, as the exporter reasons for minutes about many minima."""
    count = k.clamp(max=most).item()
    torch._check(count >= 1)
    torch._check(count <= most)
    return count  # type: ignore[return-value]  # k is an int64
