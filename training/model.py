"""The model: a causal transformer over a customer's interactions, with an intent and an item head.

P(type, item | history, context) = P(type | ...) P(item | type, ...). The item is drawn from the
whole catalog, by the likeness of wish and item, or named again from the history:

    P(i | t)  is proportional to  exp(wish . E_i + type_t . E_i + bias_i)
                                  + the sum over tokens about i of exp(copy_t)

Because the type is added to the wish, all types together cost hardly more than one: exp(type . E)
is a constant of the trained model.

B customers  L tokens  F token fields  Q asked positions, the last of L  C context fields
D width      V items   R item rows, V after the special ones   W content features of an item
T predicted types      U = T + 1: types, then silence
"""

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from features.encoding import (
    CHANNEL,
    CONTEXT_CHANNEL,
    CONTEXT_GAP,
    FIELD_SIZES,
    FIRST_ITEM_ROW,
    ITEM,
    MAX_GAP,
)
from training.attention import NEVER, Block, Lookback, look_back

MAX_COPY = 20.0  # a copy's log weight; keeps sums of exponentials finite in float32
INITIAL_STD = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The shape of a model."""

    item_count: int
    type_count: int
    content_buckets: int  # rows of the table of content features; 0 is no feature
    width: int = 64
    heads: int = 2
    blocks: int = 2
    max_length: int = 50
    dropout: float = 0.1


@dataclass(frozen=True, slots=True)
class Asked:
    """What the model makes of the asked positions; its heads turn it into probabilities."""

    state_BQD: Tensor
    item_BLD: Tensor  # vectors of the tokens' items
    key_BLD: Tensor  # what copying compares with
    nearness_BQL: Tensor
    named_BQL: Tensor


class Items(nn.Module):
    """A vector for each item: one of its own, plus what its content says."""

    def __init__(self, config: ModelConfig, content_VW: Tensor) -> None:
        super().__init__()
        self.own = nn.Embedding(FIRST_ITEM_ROW + config.item_count, config.width)
        self.content = nn.EmbeddingBag(
            config.content_buckets, config.width, mode="sum", padding_idx=0
        )
        self.bias_V = nn.Parameter(torch.zeros(config.item_count))
        self.register_buffer("content_VW", content_VW)

    def forward(self) -> Tensor:
        """The vectors of all item rows (R, D)."""
        content_VD = self.content(self.content_VW)
        return self.own.weight + F.pad(content_VD, (0, 0, FIRST_ITEM_ROW, 0))


class Nearness(nn.Module):
    """Learned weights for what lies so many tokens, and so long, ago."""

    def __init__(self, max_length: int, width: int) -> None:
        super().__init__()
        self.by_distance = nn.Embedding(max_length, width)
        self.by_age = nn.Embedding(MAX_GAP + 1, width)

    def forward(self, lookback: Lookback) -> Tensor:
        near_BQLX = self.by_distance(lookback.distance_QL) + self.by_age(lookback.age_BQL)
        return near_BQLX.movedim(-1, 0)


class Model(nn.Module):
    """Reads histories, and answers at the asked positions."""

    def __init__(self, config: ModelConfig, content_VW: Tensor) -> None:
        super().__init__()
        width = config.width
        self.config = config
        self.items = Items(config, content_VW)
        self.fields = nn.ModuleList(nn.Embedding(size, width) for size in FIELD_SIZES.values())
        self.channel = nn.Embedding(FIELD_SIZES[CHANNEL], width)
        self.elapsed = nn.Embedding(MAX_GAP + 1, width)
        self.distances = nn.ModuleList(
            nn.Embedding(config.max_length, config.heads) for _ in range(config.blocks - 1)
        )
        self.nearness = Nearness(config.max_length, config.heads + 1)  # the last is for copying
        self.blocks = nn.ModuleList(
            Block(width, config.heads, config.dropout) for _ in range(config.blocks)
        )
        self.norm = nn.RMSNorm(width)
        self.dropout = nn.Dropout(config.dropout)
        self.intent = nn.Linear(width, config.type_count + 1)
        self.wish = nn.Linear(width, width)
        self.type_TD = nn.Parameter(torch.zeros(config.type_count, width))
        self.copy_query = nn.Linear(width, width, bias=False)
        self.copy_key = nn.Linear(width, width, bias=False)
        self.copy_type_TD = nn.Parameter(torch.zeros(config.type_count, width))
        self.apply(_initialize)

    def forward(self, tokens_BLF: Tensor, context_BQC: Tensor, item_RD: Tensor) -> Asked:
        """The last Q of L positions, each asked in a context of its own."""
        # 1. A token is the sum of its item and its fields.
        item_BLD = F.embedding(tokens_BLF[..., ITEM], item_RD)
        x_BLD = item_BLD
        for field, table in zip(FIELD_SIZES, self.fields, strict=True):
            x_BLD = x_BLD + table(tokens_BLF[..., field])
        x_BLD = self.dropout(x_BLD)
        # 2. Tokens read what came before them.
        lookback = look_back(tokens_BLF, context_BQC[..., CONTEXT_GAP])
        x_BLD = self._read(x_BLD, tokens_BLF)
        # 3. The asked positions, told where and when they are asked, read the tokens.
        asked_BQD = x_BLD[:, x_BLD.shape[1] - context_BQC.shape[1] :]
        asked_BQD = asked_BQD + self.channel(context_BQC[..., CONTEXT_CHANNEL])
        asked_BQD = asked_BQD + self.elapsed(context_BQC[..., CONTEXT_GAP])
        near_XBQL = self.nearness(lookback)
        state_BQD = self.norm(self.blocks[-1](asked_BQD, x_BLD, near_XBQL[:-1], lookback.seen_BQL))
        return Asked(state_BQD, item_BLD, self.copy_key(x_BLD), near_XBQL[-1], lookback.named_BQL)

    def _read(self, x_BLD: Tensor, tokens_BLF: Tensor) -> Tensor:
        lookback = look_back(tokens_BLF, torch.zeros_like(tokens_BLF[..., 0]))
        for block, distance in zip(self.blocks[:-1], self.distances, strict=True):
            bias_HBQL = distance(lookback.distance_QL).movedim(-1, 0)[:, None]
            x_BLD = block(x_BLD, x_BLD, bias_HBQL, lookback.seen_BQL)
        return x_BLD

    def copy_logit(self, asked: Asked, type_BQD: Tensor) -> Tensor:
        """The log weight (B, Q, L) with which each token names its item again; else NEVER.

        `type_BQD` are rows of copy_type_TD: the type that is to come at each asked position.
        """
        query_BQD = self.copy_query(asked.state_BQD) + type_BQD
        logit_BQL = query_BQD @ asked.key_BLD.transpose(1, 2) / sqrt(self.config.width)
        logit_BQL = (logit_BQL + asked.nearness_BQL).clamp(max=MAX_COPY)
        return logit_BQL.masked_fill(~asked.named_BQL, NEVER)


def _initialize(module: nn.Module) -> None:
    if isinstance(module, Nearness):
        nn.init.zeros_(module.by_distance.weight)
        nn.init.zeros_(module.by_age.weight)
    elif isinstance(module, nn.Embedding | nn.EmbeddingBag):
        nn.init.normal_(module.weight, std=INITIAL_STD)
