"""Reading a history once, at its last position: the model as serving needs it.

It gives what model.Model gives there, with less work: linear maps that follow one another are one,
keys and values are never made for a single question, and what is constant is a table.

B customers  L tokens  F token fields  C context fields  D width  H heads  E width a head
T predicted types  Y = 2 * T: ways to name an item (again, next) by type
"""

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from features.encoding import (
    CONTEXT_CHANNEL,
    CONTEXT_GAP,
    FIELD_SIZES,
    FIRST_ITEM_ROW,
    GAP,
    ITEM,
    TYPE,
)
from training.attention import NEVER, Attention, Block, age_bucket, seconds_of
from training.model import MAX_NAMING, WAYS, Model


@dataclass(frozen=True, slots=True)
class Read:
    """What is made of the histories."""

    state_BD: Tensor
    again_BTL: Tensor  # log weight with which a token names its item, once it is known which type
    next_BTL: Tensor  # ... its followers


class Reader(nn.Module):
    """All of a trained model but its items."""

    offset_F: Tensor
    field_GD: Tensor
    seconds_G: Tensor

    def __init__(self, model: Model) -> None:
        super().__init__()
        sizes = torch.tensor([0, *FIELD_SIZES.values()])
        self.register_buffer("offset_F", sizes.cumsum(0)[:-1].int())
        fields = [each.weight for each in model.fields]
        self.register_buffer("field_GD", torch.cat(fields).detach())  # type: ignore[arg-type]
        self.register_buffer("seconds_G", seconds_of(torch.arange(FIELD_SIZES[GAP])))
        self.channel, self.elapsed = model.channel, model.elapsed
        self.whole = nn.ModuleList(
            Whole(block, distance.weight)  # type: ignore[arg-type]  # as model.Model made them
            for block, distance in zip(model.blocks[:-1], model.distances, strict=True)
        )
        self.last = Last(model)
        self.naming = Naming(model)

    def forward(self, item_BLD: Tensor, tokens_BLF: Tensor, context_BC: Tensor) -> Read:
        """Given the vectors of the tokens' items."""
        # 1. A token is the sum of its item and its fields.
        field_BLF = tokens_BLF[..., TYPE:] + self.offset_F
        x_BLD = item_BLD + F.embedding(field_BLF, self.field_GD).sum(-2)
        # 2. Tokens read what came before them.
        held_BL = tokens_BLF[..., TYPE] > 0
        unseen_BL = torch.where(held_BL, 0.0, NEVER)
        for whole in self.whole:
            x_BLD = whole(x_BLD, unseen_BL)
        # 3. The last position, told where and when it is asked, reads the tokens.
        elapsed_B = context_BC[:, CONTEXT_GAP]
        asked_BD = x_BLD[:, -1] + self.channel(context_BC[:, CONTEXT_CHANNEL])
        asked_BD = asked_BD + self.elapsed(elapsed_B)
        age_BL = self._age(tokens_BLF[..., GAP], elapsed_B)
        state_BD = self.last(asked_BD, x_BLD, age_BL, unseen_BL)
        # 4. How much each token names items.
        named_BL = held_BL & (tokens_BLF[..., ITEM] >= FIRST_ITEM_ROW)
        again_BTL, next_BTL = self.naming(state_BD, x_BLD, age_BL, named_BL)
        return Read(state_BD, again_BTL, next_BTL)

    def _age(self, gap_BL: Tensor, elapsed_B: Tensor) -> Tensor:
        """How long ago each token was, in buckets; see attention.look_back."""
        time_BL = F.embedding(gap_BL, self.seconds_G[:, None])[..., 0].cumsum(1)
        elapsed_B1 = F.embedding(elapsed_B[:, None], self.seconds_G[:, None])[..., 0]
        return age_bucket(time_BL[:, -1:] - time_BL + elapsed_B1)


class Whole(nn.Module):
    """A block in which every token reads; what it may see of the others is a table."""

    qkv_YD: Tensor
    bias_HXX: Tensor

    def __init__(self, block: Block, distance_XH: Tensor) -> None:
        super().__init__()
        self.block = block
        attention = block.attention
        scale = 1 / sqrt(attention.query.weight.shape[0] / attention.heads)
        parts = (attention.query.weight * scale, attention.key.weight, attention.value.weight)
        self.register_buffer("qkv_YD", torch.cat(parts).detach())
        at_X = torch.arange(len(distance_XH))
        ago_XX = at_X[:, None] - at_X
        bias_XXH = F.embedding(ago_XX.clamp(min=0), distance_XH.detach())
        bias_HXX = bias_XXH.permute(2, 0, 1).masked_fill(ago_XX < 0, NEVER)
        self.register_buffer("bias_HXX", bias_HXX.contiguous())

    def forward(self, x_BLD: Tensor, unseen_BL: Tensor) -> Tensor:
        """A token that is padding reads the others, which are all alike: as good as itself."""
        L = x_BLD.shape[1]
        qkv_BLY = F.linear(self.block.norm(x_BLD), self.qkv_YD)
        qkv_3BHLE = qkv_BLY.unflatten(2, (3, self.block.attention.heads, -1)).permute(2, 0, 3, 1, 4)
        logit_BHLL = qkv_3BHLE[0] @ qkv_3BHLE[1].transpose(2, 3)
        logit_BHLL = logit_BHLL + (self.bias_HXX[:, :L, :L] + unseen_BL[:, None, None])
        read_BHLE = logit_BHLL.softmax(-1) @ qkv_3BHLE[2]
        x_BLD = x_BLD + self.block.attention.out(read_BHLE.transpose(1, 2).flatten(2))
        return x_BLD + self.block.feed_forward(x_BLD)


class Last(nn.Module):
    """The last block, in which one position reads."""

    compare_DZ: Tensor
    take_ZD: Tensor

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.block: Block = model.blocks[-1]  # type: ignore[assignment]
        self.norm, self.heads = model.norm, model.config.heads
        compare_HDD, take_HDD = _composed(self.block.attention)
        self.register_buffer("compare_DZ", compare_HDD.permute(1, 0, 2).flatten(1).contiguous())
        self.register_buffer("take_ZD", take_HDD.flatten(0, 1).contiguous())
        self.nearness = Nearness(model, slice(self.heads))

    def forward(self, asked_BD: Tensor, x_BLD: Tensor, age_BL: Tensor, unseen_BL: Tensor) -> Tensor:
        """The states of the last positions."""
        norm_BLD = self.block.norm(x_BLD)
        query_BHD = (self.block.norm(asked_BD) @ self.compare_DZ).unflatten(1, (self.heads, -1))
        logit_BHL = query_BHD @ norm_BLD.transpose(1, 2)
        logit_BHL = logit_BHL + (self.nearness(age_BL) + unseen_BL[:, None])
        read_BHD = logit_BHL.softmax(-1) @ norm_BLD
        state_BD = asked_BD + read_BHD.flatten(1) @ self.take_ZD
        return self.norm(state_BD + self.block.feed_forward(state_BD))


class Naming(nn.Module):
    """The log weight with which each token names items, by way and type."""

    compare_DZ: Tensor
    type_XTD: Tensor

    def __init__(self, model: Model) -> None:
        super().__init__()
        D = model.config.width
        query_XDD = model.naming_query.weight.detach().unflatten(0, (WAYS, D))
        key_XDD = model.naming_key.weight.detach().unflatten(0, (WAYS, D)) / sqrt(D)
        type_XTD = model.naming_type_TY.detach().unflatten(1, (WAYS, D)).movedim(1, 0)
        compare_XDD = query_XDD.transpose(1, 2) @ key_XDD
        self.register_buffer("compare_DZ", compare_XDD.permute(1, 0, 2).flatten(1).contiguous())
        self.register_buffer("type_XTD", (type_XTD @ key_XDD).contiguous())
        self.nearness = Nearness(model, slice(model.config.heads, None))

    def forward(
        self, state_BD: Tensor, x_BLD: Tensor, age_BL: Tensor, named_BL: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See model.Model.naming_logit."""
        query_BX1D = (state_BD @ self.compare_DZ).unflatten(1, (WAYS, 1, -1))
        query_BYD = (query_BX1D + self.type_XTD).flatten(1, 2)
        logit_BXTL = (query_BYD @ x_BLD.transpose(1, 2)).unflatten(1, (WAYS, -1))
        logit_BXTL = (logit_BXTL + self.nearness(age_BL)[:, :, None]).clamp(max=MAX_NAMING)
        logit_BXTL = torch.where(named_BL[:, None, None], logit_BXTL, NEVER)
        return logit_BXTL[:, 0], logit_BXTL[:, 1]


class Nearness(nn.Module):
    """Some of the weights of model.Nearness, seen from the last position."""

    by_place_NX: Tensor
    by_age_GN: Tensor

    def __init__(self, model: Model, part: slice) -> None:
        super().__init__()
        by_distance_XN = model.nearness.by_distance.weight.detach()[:, part]
        self.register_buffer("by_place_NX", by_distance_XN.flip(0).T.contiguous())
        self.register_buffer("by_age_GN", model.nearness.by_age.weight.detach()[:, part].clone())

    def forward(self, age_BL: Tensor) -> Tensor:
        """For each token (B, N, L)."""
        by_age_BNL = F.embedding(age_BL, self.by_age_GN).transpose(1, 2)
        return by_age_BNL + self.by_place_NX[:, -age_BL.shape[1] :]


def _composed(attention: Attention) -> tuple[Tensor, Tensor]:
    """Query and key in one matrix a head (H, D, D), and value and output in one (H, D, D)."""
    query_HED, key_HED, value_HED = (
        each.weight.detach().unflatten(0, (attention.heads, -1))
        for each in (attention.query, attention.key, attention.value)
    )
    out_HED = attention.out.weight.detach().T.unflatten(0, (attention.heads, -1))
    compare_HDD = query_HED.transpose(1, 2) @ key_HED / sqrt(query_HED.shape[1])
    return compare_HDD, value_HED.transpose(1, 2) @ out_HED
