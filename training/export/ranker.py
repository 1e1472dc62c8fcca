"""The graph that serves: from encoded histories to intents, and the best items of the catalog.

Large catalogs are scored tile by tile; the fresh items, which the model has not been trained on,
belong to the last one. The best K of each tile compete for the answer, which therefore is exact.
See model.py for the probabilities.

B customers  D width  Z = D + 1: a vector, then a bias  V items  N fresh items  W = V + N
E masks over W items  I items of a tile  K asked items  J best items of all tiles
M places that tokens name  T predicted types  U = T + 1, silence last
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from math import ceil

import torch
from torch import Tensor
from torch.nn import functional as F

from features.artefact import FLOAT16, FLOAT32, INPUTS, OUTPUTS
from features.encoding import CONTEXT_FIELDS, FIRST_ITEM_ROW, TOKEN_FIELDS
from training.export.graph import (
    BOOL,
    END,
    FLOAT,
    HALF,
    INT32,
    INT64,
    Graph,
    Kind,
    Value,
    Written,
    int32,
)
from training.export.naming import Named, by_place, joint, name, query_of, sums
from training.export.reading import FAINT, fresh_place, read, table, tokens_of
from training.model.model import Model

TILE = 1 << 16  # items
MOST_TILES = 16
UNAVAILABLE = -1.0  # below every probability
AVAILABLE = 1e30  # above every probability
LEAST = -60.0
"""Log weights are relative to the most liked item's, but to no less than this: so nothing that is
named overflows. A catalog would underflow whose most liked item has less than -140."""


@dataclass(frozen=True, slots=True)
class Ranker:
    """A trained model, and how the graph that is made of it scores items."""

    model: Model
    tile: int | None = None  # items; by default as many as caches hold
    precision: str = FLOAT32  # of the item vectors

    def graph(self) -> Written:
        """From features.artefact.INPUTS to OUTPUTS."""
        config = self.model.config
        g, tile = Graph(), self.tile or max(TILE, ceil(config.item_count / MOST_TILES))
        ends = [*range(tile, config.item_count, tile), config.item_count]
        _write(g, self.model.eval(), ends, self.precision == FLOAT16)
        return g.model(*_kinds(config.width, config.type_count))

    def vectors(self) -> Tensor:
        """Vector and bias of each item (V, Z)."""
        items = self.model.items
        return torch.cat([items()[FIRST_ITEM_ROW:], items.bias_V[:, None]], 1).detach()


def _kinds(D: int, T: int) -> tuple[dict[str, Kind], dict[str, Kind]]:
    inputs: list[Kind] = [
        (INT32, ["B", "L", TOKEN_FIELDS]),
        (INT32, ["B", CONTEXT_FIELDS]),
        (FLOAT, ["B", T]),
        (BOOL, ["E", "W"]),
        (INT64, ["B"]),
        (FLOAT, ["N", D + 1]),
        (INT64, []),
    ]
    outputs: list[Kind] = [(FLOAT, ["B", T + 1]), (INT64, ["B", "K"]), (FLOAT, ["B", "K", T])]
    return dict(zip(INPUTS, inputs, strict=True)), dict(zip(OUTPUTS, outputs, strict=True))


def _write(g: Graph, model: Model, ends: Sequence[int], half: bool) -> None:
    tokens_BLF, context_BC, weight_BT, eligible_EV, mask_B, fresh_NZ, k = INPUTS
    intent, item, joint_name = OUTPUTS
    # 1. What is known of the customers, and which type comes next.
    catalog = _catalog(g, model, fresh_NZ, half)
    tokens = tokens_of(g, model, tokens_BLF)
    state = read(g, model, tokens, context_BC, catalog.row_GD, catalog.fresh_ND)
    intent_BU, wish_BZ, query_BY = _heads(g, model, state.state_BD)
    intent_BU = g.Softmax(intent_BU, outputs=[intent])
    # 2. How much each item is liked, and named by tokens, up to a factor for each type.
    tiles, most_B1 = _tiles(g, catalog, wish_BZ, ends)
    naming = model.naming
    named = name(g, naming, tokens, state, query_BY, most_B1) if naming else None
    share_BT = g.Div(g.Slice(intent_BU, [0], [-1], [1]), _sums(g, catalog, tiles, named))
    # 3. The ranking: all types together, weighted.
    weighted_BT = g.Mul(weight_BT, share_BT)
    scores = [_score(g, catalog, each, weighted_BT) for each in tiles]
    if named:
        places = by_place(g, named, weighted_BT)
        scores = [
            _with_named(g, each, score_BI, *places)
            for each, score_BI in zip(tiles, scores, strict=True)
        ]
    masked = [
        _masked(g, each, score_BI, eligible_EV, mask_B)
        for each, score_BI in zip(tiles, scores, strict=True)
    ]
    score_BK, liked_BK = _top(g, tiles, masked, g.Min(k, g.Shape(eligible_EV, start=1)), item)
    # 4. The joint probabilities of the items asked for.
    item_BK = g.Cast(item, to=INT32)
    joint_BKT = _liked_by_type(g, catalog, tiles[-1], item_BK, liked_BK)
    if named:
        joint_BKT = g.Add(joint_BKT, joint(g, named, item_BK))
    joint_BKT = g.Mul(joint_BKT, g.Unsqueeze(share_BT, [1]))
    eligible_BK1 = g.GreaterOrEqual(g.Unsqueeze(score_BK, [2]), 0.0)
    g.Where(eligible_BK1, joint_BKT, 0.0, outputs=[joint_name])


def _heads(g: Graph, model: Model, state_BD: Value) -> tuple[Value, Value, Value]:
    """Intent logits, the wish with a 1 for the bias of items, and what names items, if any."""
    D, U = model.config.width, model.config.type_count + 1
    query_DY = query_of(model.naming) if model.naming else torch.zeros(D, 0)
    weight_DZ = torch.cat([model.intent.weight.T, F.pad(model.wish.weight.T, (0, 1)), query_DY], 1)
    ones_1, zeros_Y = torch.ones(1), torch.zeros(query_DY.shape[1])
    bias_Z = torch.cat([model.intent.bias, model.wish.bias, ones_1, zeros_Y])
    heads_BZ, parts = g.Gemm(state_BD, weight_DZ, bias_Z), [U, D + 1, len(zeros_Y)]
    intent_BU, wish_BZ, query_BY = g.Split(heads_BZ, parts, axis=1, outputs=3)
    return intent_BU, wish_BZ, query_BY


# ---- Items -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Catalog:
    """Vectors of items, and the factors that types add to how much they are liked."""

    item_count: int
    type_count: int
    half: bool  # whether the next two are float16
    row_GD: Value  # reading.table
    bias_1V: Value
    likes_VT: Value  # V + 1 rows; the last one, of zeros, is for fresh items
    fresh_NZ: Value
    fresh_ND: Value  # N + 1 rows; the last one, of zeros, is for known items
    fresh_likes_NT: Value  # N rows


@dataclass(frozen=True, slots=True)
class _Tile:
    """Neighbouring items, and how much they are liked, relative to the most liked one."""

    start: int
    end: int  # of those that the model knows
    whole: bool  # it is the only one
    liked_BI: Value
    fresh_BN: Value | None  # how much the fresh ones are liked, which come last


def _catalog(g: Graph, model: Model, fresh_NZ: Value, half: bool) -> _Catalog:
    kept = torch.float16 if half else torch.float32
    vector_VD = model.items().detach()[FIRST_ITEM_ROW:]
    likes_VT = (vector_VD @ model.type_TD.T).exp()
    type_ZT = F.pad(model.type_TD.T, (0, 0, 0, 1))
    fresh_ND = g.Slice(fresh_NZ, [0], [-1], [1])
    return _Catalog(
        item_count=len(vector_VD),
        type_count=likes_VT.shape[1],
        half=half,
        row_GD=g.value(table(model).to(kept)),
        bias_1V=g.value(model.items.bias_V[None].to(kept)),
        likes_VT=g.value(F.pad(likes_VT, (0, 0, 0, 1))),
        fresh_NZ=fresh_NZ,
        fresh_ND=g.Concat(fresh_ND, torch.zeros(1, vector_VD.shape[1]), axis=0),
        fresh_likes_NT=g.Exp(g.MatMul(fresh_NZ, type_ZT)),
    )


def _tiles(
    g: Graph, catalog: _Catalog, wish_BZ: Value, ends: Sequence[int]
) -> tuple[list[_Tile], Value]:
    """All tiles, and the log weight that they are relative to."""
    bounds = list(pairwise([0, *ends]))
    logits = [_logit(g, catalog, wish_BZ, *each) for each in bounds]
    logits.append(g.MatMul(wish_BZ, g.Transpose(catalog.fresh_NZ, perm=[1, 0])))
    # One by one: onnxruntime takes a slow way for more than two.
    most_B1 = reduce(g.Max, (g.ReduceMax(each, [1]) for each in logits), g.value(LEAST))
    *known, fresh_BN = (g.Sub(each, most_B1) for each in logits)
    fresh_BN = g.Exp(g.Max(fresh_BN, FAINT))  # many may be absent
    tiles = [
        _Tile(start, end, len(ends) == 1, g.Exp(each), fresh_BN if end == ends[-1] else None)
        for (start, end), each in zip(bounds, known, strict=True)
    ]
    return tiles, most_B1


def _logit(g: Graph, catalog: _Catalog, wish_BZ: Value, start: int, end: int) -> Value:
    rows = [FIRST_ITEM_ROW + start], [FIRST_ITEM_ROW + end]
    vector_DI = g.Transpose(g.Slice(catalog.row_GD, *rows, [0]), perm=[1, 0])
    bias_1I = g.Slice(catalog.bias_1V, [start], [end], [1])
    item_ZI = g.Concat(vector_DI, bias_1I, axis=0)
    if not catalog.half:
        return g.MatMul(wish_BZ, item_ZI)
    return g.Cast(g.MatMul(g.Cast(wish_BZ, to=HALF), item_ZI), to=FLOAT)


def _sums(g: Graph, catalog: _Catalog, tiles: Sequence[_Tile], named: Named | None) -> Value:
    """The weight of all items together (B, T)."""
    named_BT = sums(g, named) if named else torch.zeros(1, catalog.type_count)
    sum_BT = g.Gemm(tiles[-1].fresh_BN, catalog.fresh_likes_NT, named_BT)
    for each in tiles:
        likes_IT = g.Slice(catalog.likes_VT, [each.start], [each.end], [0])
        sum_BT = g.Gemm(each.liked_BI, likes_IT, sum_BT)
    return sum_BT


def _liked_by_type(
    g: Graph, catalog: _Catalog, last: _Tile, item_BK: Value, liked_BK: Value
) -> Value:
    """How much these items are liked (B, K, T): either as a known one, or as a fresh one."""
    V = catalog.item_count
    known_BKT = g.Gather(catalog.likes_VT, g.Min(item_BK, int32(V)))
    at_BK = fresh_place(g, item_BK, V)
    none_1T = torch.zeros(1, catalog.type_count)
    fresh_BKT = g.Gather(g.Concat(catalog.fresh_likes_NT, none_1T, axis=0), at_BK)
    fresh_BK = g.GatherElements(last.fresh_BN, at_BK, axis=1)
    return g.Add(
        g.Mul(g.Unsqueeze(liked_BK, [2]), known_BKT),
        g.Mul(g.Unsqueeze(fresh_BK, [2]), fresh_BKT),
    )


# ---- The best ----------------------------------------------------------------------------------


def _score(g: Graph, catalog: _Catalog, tile: _Tile, weighted_BT: Value) -> Value:
    """All types together."""
    likes_IT = g.Slice(catalog.likes_VT, [tile.start], [tile.end], [0])
    likes_BI = g.MatMul(weighted_BT, g.Transpose(likes_IT, perm=[1, 0]))
    score_BI = g.Mul(tile.liked_BI, likes_BI)
    if tile.fresh_BN is not None:
        fresh_TN = g.Transpose(catalog.fresh_likes_NT, perm=[1, 0])
        fresh_BN = g.Mul(tile.fresh_BN, g.MatMul(weighted_BT, fresh_TN))
        score_BI = g.Concat(score_BI, fresh_BN, axis=1)
    return score_BI


def _with_named(g: Graph, tile: _Tile, score_BI: Value, place_BM: Value, weight_BM: Value) -> Value:
    """With what tokens name."""
    if not tile.whole:
        place_BM, weight_BM = _within(g, tile, place_BM, weight_BM)
    return g.ScatterElements(score_BI, place_BM, weight_BM, axis=1, reduction="add")


def _within(g: Graph, tile: _Tile, place_BM: Value, weight_BM: Value) -> tuple[Value, Value]:
    """Only what is named of the tile; the others name its first item with no weight."""
    at_BM = g.Sub(place_BM, int32(tile.start))
    inside_BM = g.GreaterOrEqual(at_BM, int32(0))
    if tile.fresh_BN is None:  # else no place is beyond
        inside_BM = g.And(inside_BM, g.Less(at_BM, int32(tile.end - tile.start)))
    return g.Where(inside_BM, at_BM, int32(0)), g.Where(inside_BM, weight_BM, 0.0)


def _masked(g: Graph, tile: _Tile, score_BI: Value, eligible_EV: Value, mask_B: Value) -> Value:
    """Below every probability for what is not eligible."""
    if not tile.whole:
        end = tile.end if tile.fresh_BN is None else END
        eligible_EV = g.Slice(eligible_EV, [tile.start], [end], [1])
    most_EI = g.Where(eligible_EV, AVAILABLE, UNAVAILABLE)
    return g.Min(score_BI, g.Gather(most_EI, mask_B))


def _top(
    g: Graph, tiles: Sequence[_Tile], scores: Sequence[Value], k_1: Value, item: str
) -> tuple[Value, Value]:
    """Scores of the best items, which are named `item`, and how much the known ones are liked."""
    if len(tiles) == 1:
        score_BK, item_BK = g.TopK(scores[0], k_1, outputs=["score_BK", item])
        return score_BK, _liked(g, tiles[0], item_BK)
    best = []
    for tile, score_BI in zip(tiles, scores, strict=True):
        score_BJ, at_BJ = g.TopK(score_BI, g.Min(k_1, g.Shape(score_BI, start=1)), outputs=2)
        best.append((score_BJ, g.Add(at_BJ, tile.start), _liked(g, tile, at_BJ)))
    score_BJ, item_BJ, liked_BJ = (g.Concat(*each, axis=1) for each in zip(*best, strict=True))
    score_BK, at_BK = g.TopK(score_BJ, k_1, outputs=2)
    g.GatherElements(item_BJ, at_BK, axis=1, outputs=[item])
    return score_BK, g.GatherElements(liked_BJ, at_BK, axis=1)


def _liked(g: Graph, tile: _Tile, at_BJ: Value) -> Value:
    """Of items of the tile; anything for fresh ones."""
    if tile.fresh_BN is not None:
        at_BJ = g.Min(at_BJ, tile.end - tile.start - 1)
    return g.GatherElements(tile.liked_BI, at_BJ, axis=1)
