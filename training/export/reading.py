"""Reading a history once, at its last position: the model's reader as nodes of the graph.

It gives what model.Model gives there, with less work: linear maps that follow one another are one
(query and key, value and output), and what is constant is a table.

B customers  L tokens  F token fields  P tables of them  C context fields  D width  H heads
N fresh items  R item rows
All heads of a token are rows that follow one another (M = L * H), so that nothing is moved.
"""

from dataclasses import dataclass
from math import floor, log, log2, sqrt

import torch
from torch import Tensor, nn

from features.encoding import (
    CHANNEL,
    CONTEXT_GAP,
    FIELD_SIZES,
    GAP,
    GAPS_PER_DOUBLING,
    INITIATOR,
    ITEM,
    MAX_GAP,
    TOKEN_FIELDS,
    TYPE,
    VALUE,
)
from training.export.graph import END, FLOAT, INT32, Graph, Value, int32
from training.model.attention import NEVER, Attention, Block, Nearness, seconds_of
from training.model.model import Model

MOST_TOKENS = 1 << 20  # no history is as long
PAIRS = ((TYPE, INITIATOR), (GAP, CHANNEL))  # fields that are looked up together; VALUE alone
FAINT = -60.0
"""How far below the largest a logit may lie: its weight is 1e-26 of the largest one's. What is not
seen lies there too: further below onnxruntime takes 7 times as long for a softmax, as its exp has
to make denormal numbers."""


@dataclass(frozen=True, slots=True)
class Read:
    """What is made of the histories."""

    state_BD: Value
    x_BLD: Value  # the tokens, as the last block finds them
    age_BL: Value  # see attention.ages; less 1


@dataclass(frozen=True, slots=True)
class Tokens:
    """The histories, and what is looked up in them more than once."""

    all_BLF: Value
    row_BL: Value
    known_BL: Value  # the same; R for fresh items
    unseen_B1L: Value
    newest: Value  # where tables by (row of M, token) begin, for the newest L tokens


def tokens_of(g: Graph, model: Model, tokens_BLF: Value) -> Tokens:
    """What of the tokens is of use in several places."""
    row_BL = g.Gather(tokens_BLF, ITEM, axis=2)
    unseen = torch.zeros(FIELD_SIZES[TYPE])
    unseen[0] = NEVER
    unseen_BL = g.Gather(unseen, g.Gather(tokens_BLF, TYPE, axis=2))
    return Tokens(
        tokens_BLF,
        row_BL,
        g.Min(row_BL, int32(len(model.items.own.weight))),
        g.Unsqueeze(unseen_BL, [1]),
        g.Mul(g.Shape(tokens_BLF, start=1, end=2), [-model.config.heads, -1]),
    )


def read(
    g: Graph, model: Model, tokens: Tokens, context_BC: Value, table_GD: Value, fresh_ND: Value
) -> Read:
    """See look_up for the tables."""
    # 1. A token is the sum of its item and its fields.
    x_BLD = look_up(g, model, tokens, table_GD, fresh_ND)
    # 2. Tokens read what came before them.
    for block, distance in zip(model.blocks[:-1], model.distances, strict=True):
        x_BLD = _whole(g, block, distance.weight, x_BLD, tokens)  # type: ignore[arg-type]
    # 3. The last position, told where and when it is asked, reads the tokens.
    asked_BD = g.Add(g.Gather(x_BLD, -1, axis=1), _context(g, model, context_BC))
    age_BL = _ages(g, tokens, context_BC)
    near_BLH = nearness(g, model.nearness, tokens, age_BL)
    bias_BHL = g.Add(g.Transpose(near_BLH, perm=[0, 2, 1]), tokens.unseen_B1L)
    return Read(_last(g, model, asked_BD, x_BLD, bias_BHL), x_BLD, age_BL)


# ---- Tokens ------------------------------------------------------------------------------------


def table(model: Model) -> Tensor:
    """The rows whose sums are tokens: of items, one of zeros for fresh items, and of the fields."""
    item_RD = model.items().detach()
    vectors = dict(zip(FIELD_SIZES, (each.weight for each in model.fields), strict=True))
    rows = [(vectors[a][:, None] + vectors[b]).flatten(0, 1) for a, b in PAIRS]  # type: ignore[index, operator]
    return torch.cat([item_RD, torch.zeros_like(item_RD[:1]), *rows, vectors[VALUE]]).detach()  # type: ignore[list-item]


def look_up(g: Graph, model: Model, tokens: Tokens, table_GD: Value, fresh_ND: Value) -> Value:
    """The sum of each token's rows; the last row of `fresh_ND` is of zeros, for known items.

    Places are made in float32, which is exact up to 16 million rows, and which GPUs multiply.
    """
    R = len(model.items.own.weight)
    place_FP, offsets = torch.zeros(TOKEN_FIELDS, len(PAIRS) + 2), [0, R + 1]
    place_FP[ITEM, 0] = place_FP[VALUE, -1] = 1
    for at, (slow, fast) in enumerate(PAIRS, start=1):
        place_FP[slow, at], place_FP[fast, at] = FIELD_SIZES[fast], 1
        offsets.append(offsets[-1] + FIELD_SIZES[slow] * FIELD_SIZES[fast])
    most_P = torch.tensor([R, *[float(1 << 30)] * (len(offsets) - 1)])
    place_BLP = g.MatMul(g.Cast(tokens.all_BLF, to=FLOAT), place_FP)
    place_BLP = g.Min(g.Add(place_BLP, torch.tensor(offsets).float()), most_P)
    row_BLPD = g.Cast(g.Gather(table_GD, g.Cast(place_BLP, to=INT32)), to=FLOAT)
    known_BLD = g.ReduceSum(row_BLPD, [2], keepdims=0)
    return g.Add(known_BLD, g.Gather(fresh_ND, fresh_place(g, tokens.row_BL, R)))


def fresh_place(g: Graph, row: Value, first: int) -> Value:
    """Which fresh item it is, counted from `first` on; -1 for others: the last row of a table."""
    return g.Max(g.Sub(row, int32(first)), int32(-1))


def _context(g: Graph, model: Model, context_BC: Value) -> Value:
    channel, elapsed = model.channel.weight, model.elapsed.weight
    place_BC = g.Add(context_BC, torch.tensor([0, len(channel)]).int())
    return g.ReduceSum(g.Gather(torch.cat([channel, elapsed]), place_BC), [1], keepdims=0)


def _ages(g: Graph, tokens: Tokens, context_BC: Value) -> Value:
    """attention.ages, less 1, seen from the last position."""
    # Seconds that went by after each token, and 1.
    seconds_G = seconds_of(torch.arange(FIELD_SIZES[GAP]))
    passed_BL = g.Gather(seconds_G, g.Gather(tokens.all_BLF, GAP, axis=2))
    passed_BL = g.CumSum(passed_BL, 1, exclusive=1, reverse=1)
    elapsed_B1 = g.Slice(context_BC, [CONTEXT_GAP], [CONTEXT_GAP + 1], [1])
    passed_BL = g.Add(passed_BL, g.Gather(seconds_G + 1, elapsed_B1))
    octave = torch.tensor(GAPS_PER_DOUBLING / log(2), dtype=torch.float64)
    return g.Cast(g.Mul(g.Log(passed_BL), octave), to=INT32)


def nearness(g: Graph, table: Nearness, tokens: Tokens, age_BN: Value) -> Value:
    """attention.Nearness of the newest tokens, seen from the last position (B, N, X)."""
    near_1NX = g.Slice(table.by_distance.weight.flip(0)[None], tokens.newest, [END, END], [0, 1])
    # As far as ages go, so that none is beyond the table.
    oldest = MOST_TOKENS * float(seconds_of(torch.tensor(FIELD_SIZES[GAP] - 1)))
    bucket_A = 1 + torch.arange(2 + floor(GAPS_PER_DOUBLING * log2(oldest)))
    by_age_AX = table.by_age.weight[bucket_A.clamp(max=MAX_GAP)]
    return g.Add(g.Gather(by_age_AX, age_BN), near_1NX)


# ---- Blocks ------------------------------------------------------------------------------------


def _whole(g: Graph, block: Block, distance_XH: Tensor, x_BLD: Value, tokens: Tokens) -> Value:
    """A block in which every token reads; what it may see of the others is a table.

    A token that is padding reads the others, which are all alike: as good as itself.
    """
    compare_DZ, take_ZD = composed(block.attention)
    D = len(compare_DZ)
    at_X = torch.arange(len(distance_XH))
    ago_XX = at_X[:, None] - at_X
    bias_XXH = distance_XH[ago_XX.clamp(min=0)].masked_fill(ago_XX[..., None] < 0, NEVER)
    bias_MX = bias_XXH.transpose(1, 2).flatten(0, 1)
    bias_ML = g.Slice(bias_MX, tokens.newest, [END, END], [0, 1])
    norm_BLD = normed(g, block.norm, x_BLD)
    query_BMD = g.Reshape(g.MatMul(norm_BLD, compare_DZ), [0, -1, D])
    bias_BML = g.Add(bias_ML, tokens.unseen_B1L)
    read_BMD = _attend(g, query_BMD, norm_BLD, bias_BML)
    read_BLZ = g.Reshape(read_BMD, [0, -1, len(take_ZD)])
    x_BLD = g.Add(x_BLD, g.MatMul(read_BLZ, take_ZD))
    return g.Add(x_BLD, _feed_forward(g, block, x_BLD))


def _last(g: Graph, model: Model, asked_BD: Value, x_BLD: Value, bias_BHL: Value) -> Value:
    """The last block, in which one position reads."""
    block: Block = model.blocks[-1]  # type: ignore[assignment]
    compare_DZ, take_ZD = composed(block.attention)
    query_BZ = g.MatMul(normed(g, block.norm, asked_BD), compare_DZ)
    query_BHD = g.Reshape(query_BZ, [0, model.config.heads, -1])
    read_BHD = _attend(g, query_BHD, normed(g, block.norm, x_BLD), bias_BHL)
    state_BD = g.Gemm(g.Reshape(read_BHD, [0, len(take_ZD)]), take_ZD, asked_BD)
    return normed(g, model.norm, g.Add(state_BD, _feed_forward(g, block, state_BD)))


def _attend(g: Graph, query_BMD: Value, norm_BLD: Value, bias_BML: Value) -> Value:
    """What is read; next to nothing of tokens that are not seen, whatever they say."""
    logit_BML = g.MatMul(query_BMD, g.Transpose(norm_BLD, perm=[0, 2, 1]))
    logit_BML = g.Add(logit_BML, bias_BML)
    least_BM1 = g.Add(g.ReduceMax(logit_BML, [2]), FAINT)
    return g.MatMul(g.Softmax(g.Max(logit_BML, least_BM1)), norm_BLD)


def _feed_forward(g: Graph, block: Block, x: Value) -> Value:
    norm, wide, _, narrow = block.feed_forward
    return linear(g, narrow, g.Gelu(linear(g, wide, normed(g, norm, x))))


def linear(g: Graph, layer: nn.Module, x: Value) -> Value:
    """What nn.Linear gives; onnxruntime makes one node of it."""
    return g.Add(g.MatMul(x, layer.weight.T), layer.bias)


def normed(g: Graph, norm: nn.Module, x: Value) -> Value:
    """What nn.RMSNorm gives."""
    return g.RMSNormalization(x, norm.weight, epsilon=torch.finfo(torch.float32).eps)


def composed(attention: Attention) -> tuple[Tensor, Tensor]:
    """Query and key as one matrix (D, Z), value and output as one (Z, D); Z = H * D."""
    query_HED, key_HED, value_HED = (
        each.weight.detach().unflatten(0, (attention.heads, -1))
        for each in (attention.query, attention.key, attention.value)
    )
    out_HED = attention.out.weight.detach().T.unflatten(0, (attention.heads, -1))
    compare_HDD = query_HED.transpose(1, 2) @ key_HED / sqrt(query_HED.shape[1])
    take_HDD = value_HED.transpose(1, 2) @ out_HED
    return compare_HDD.permute(1, 0, 2).flatten(1).contiguous(), take_HDD.flatten(0, 1)
