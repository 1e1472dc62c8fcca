"""The model: a causal transformer over a customer's interactions, with an intent and an item head.

P(type, item | history, context) = P(type | ...) P(item | type, ...). The item is drawn from the
whole catalog, by the likeness of wish and item, or named by the tokens of the history: each names
its own item again, and the items that most often followed it:

    P(i | t)  is proportional to  exp(wish . E_i + type_t . E_i + bias_i)
                                  + the sum over tokens about i of exp(again_t)
                                  + the sum over tokens about any j of exp(next_t) share(j, i)

Because the type is added to the wish, all types together cost hardly more than one: exp(type . E)
is a constant of the trained model.

B customers  L tokens  F token fields  Q asked positions, the last of L  C context fields
D width      V items   R item rows, V after the special ones
T predicted types      U = T + 1: types, then silence
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from features.encoding import (
    CHANNEL,
    CONTEXT_CHANNEL,
    CONTEXT_GAP,
    FIELD_SIZES,
    ITEM,
    MAX_GAP,
)
from training.data.steps import Followers
from training.model.attention import Block, Nearness, ages, by_bucket, look_back
from training.model.items import Items
from training.model.naming import Naming

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
    reach: int = 50  # newest tokens that name items; 0 is none
    dropout: float = 0.1
    as_new: float = 0.0  # share of the items that a step takes for new


@dataclass(frozen=True, slots=True)
class Asked:
    """What the model makes of the asked positions; its heads turn it into probabilities."""

    state_BQD: Tensor
    x_BLD: Tensor  # the tokens, as the last block finds them
    age_BQL: Tensor  # see attention.ages


class Model(nn.Module):
    """Reads histories, and answers at the asked positions."""

    step_R: Tensor

    def __init__(self, config: ModelConfig, content_VW: Tensor, followers: Followers) -> None:
        super().__init__()
        width = config.width
        self.config = config
        self.items = Items(
            content_VW, buckets=config.content_buckets, width=width, as_new=config.as_new
        )
        self.fields = nn.ModuleList(nn.Embedding(size, width) for size in FIELD_SIZES.values())
        self.channel = nn.Embedding(FIELD_SIZES[CHANNEL], width)
        self.elapsed = nn.Embedding(MAX_GAP + 1, width)
        self.distances = nn.ModuleList(
            nn.Embedding(config.max_length, config.heads) for _ in range(config.blocks - 1)
        )
        self.nearness = Nearness(config.max_length, config.heads)
        self.blocks = nn.ModuleList(
            Block(width, config.heads, config.dropout) for _ in range(config.blocks)
        )
        self.norm = nn.RMSNorm(width)
        self.dropout = nn.Dropout(config.dropout)
        self.intent = nn.Linear(width, config.type_count + 1)
        self.wish = nn.Linear(width, width)
        self.type_TD = nn.Parameter(torch.zeros(config.type_count, width))
        self.naming = _naming(config, followers)
        self.register_buffer("step_R", torch.from_numpy(followers.step_R))
        self.apply(_initialize)

    def forward(self, tokens_BLF: Tensor, context_BQC: Tensor, item_RD: Tensor) -> Asked:
        """The last Q of L positions, each asked in a context of its own."""
        # 1. A token is the sum of its item and its fields.
        x_BLD = F.embedding(tokens_BLF[..., ITEM], item_RD)
        for field, table in zip(FIELD_SIZES, self.fields, strict=True):
            x_BLD = x_BLD + table(tokens_BLF[..., field])
        x_BLD = self.dropout(x_BLD)
        # 2. Tokens read what came before them.
        x_BLD = self._read(x_BLD, tokens_BLF)
        # 3. The asked positions, told where and when they are asked, read the tokens.
        asked_BQD = x_BLD[:, x_BLD.shape[1] - context_BQC.shape[1] :]
        asked_BQD = asked_BQD + self.channel(context_BQC[..., CONTEXT_CHANNEL])
        asked_BQD = asked_BQD + self.elapsed(context_BQC[..., CONTEXT_GAP])
        lookback = look_back(tokens_BLF, context_BQC.shape[1])
        age_BQL = ages(tokens_BLF, context_BQC[..., CONTEXT_GAP])
        near_BHQL = self.nearness(lookback.distance_QL, age_BQL).transpose(0, 1)
        bias_BHQL = near_BHQL + lookback.unseen_B1QL
        state_BQD = self.norm(self.blocks[-1](asked_BQD, x_BLD, bias_BHQL))
        return Asked(state_BQD, x_BLD, age_BQL)

    def _read(self, x_BLD: Tensor, tokens_BLF: Tensor) -> Tensor:
        lookback = look_back(tokens_BLF, tokens_BLF.shape[1])
        for block, distance in zip(self.blocks[:-1], self.distances, strict=True):
            bias_HQL = by_bucket(distance.weight, lookback.distance_QL)  # type: ignore[arg-type]
            x_BLD = block(x_BLD, x_BLD, bias_HQL + lookback.unseen_B1QL)
        return x_BLD


def _naming(config: ModelConfig, followers: Followers) -> Naming | None:
    reach = min(config.reach, config.max_length)
    return Naming(config.width, reach, config.type_count, followers) if reach else None


def _initialize(module: nn.Module) -> None:
    if isinstance(module, Nearness):
        nn.init.zeros_(module.by_distance.weight)
        nn.init.zeros_(module.by_age.weight)
    elif isinstance(module, nn.Embedding | nn.EmbeddingBag):
        nn.init.normal_(module.weight, std=INITIAL_STD)
