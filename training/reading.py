"""Reading a history once, at its last position: the model as serving needs it.

It gives what model.Model gives there, with less work: linear maps that follow one another are one
(query and key, value and output), and what is constant is a table.

B customers  L tokens  F token fields  P tables of them  C context fields  D width  H heads
E width a head  T predicted types  X ways to name an item: again, next  Y = X * T
N = H + X: nearness biases
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
    GAP,
    INITIATOR,
    TOKEN_FIELDS,
    TYPE,
    VALUE,
)
from training.attention import NEVER, Attention, Block, age_bucket, seconds_of
from training.model import MAX_NAMING, WAYS, Model

PAIRS = ((TYPE, INITIATOR), (GAP, CHANNEL))  # fields that are looked up together; VALUE alone
FAINT = -60.0
"""How far below the largest a logit may lie: its weight is 1e-26 of the largest one's. What is not
seen lies there too: further below onnxruntime takes 7 times as long for a softmax, as its exp has
to make denormal numbers."""


@dataclass(frozen=True, slots=True)
class Read:
    """What is made of the histories."""

    state_BD: Tensor
    again_BTL: Tensor  # the log weight with which a token names its item, by type
    next_BTL: Tensor  # and its followers


class Reader(nn.Module):
    """All of a trained model but its items."""

    place_FP: Tensor
    offset_P: Tensor
    field_GD: Tensor
    seconds_G: Tensor
    near_NX: Tensor
    by_age_GN: Tensor

    def __init__(self, model: Model) -> None:
        super().__init__()
        for name, table in zip(("place_FP", "offset_P", "field_GD"), _fields(model), strict=True):
            self.register_buffer(name, table)
        self.register_buffer("seconds_G", seconds_of(torch.arange(FIELD_SIZES[GAP])))
        self.channel, self.elapsed = model.channel, model.elapsed
        self.whole = nn.ModuleList(
            Whole(block, distance.weight)  # type: ignore[arg-type]  # as model.Model made them
            for block, distance in zip(model.blocks[:-1], model.distances, strict=True)
        )
        near_XN = model.nearness.by_distance.weight.detach()
        self.register_buffer("near_NX", near_XN.flip(0).T.contiguous())
        self.register_buffer("by_age_GN", model.nearness.by_age.weight.detach().clone())
        self.last = Last(model)
        self.naming = Naming(model)

    def forward(self, item_BLD: Tensor, tokens_BLF: Tensor, context_BC: Tensor) -> Read:
        """Given the vectors of the tokens' items."""
        # 1. A token is the sum of its item and its fields.
        place_BLP = (tokens_BLF.float() @ self.place_FP).int() + self.offset_P
        x_BLD = item_BLD + F.embedding(place_BLP, self.field_GD).sum(-2)
        # 2. Tokens read what came before them.
        unseen_B1L = torch.where(tokens_BLF[:, None, :, TYPE] > 0, 0.0, NEVER)
        for whole in self.whole:
            x_BLD = whole(x_BLD, unseen_B1L)
        # 3. The last position, told where and when it is asked, reads the tokens.
        elapsed_B = context_BC[:, CONTEXT_GAP]
        asked_BD = x_BLD[:, -1] + self.channel(context_BC[:, CONTEXT_CHANNEL])
        asked_BD = asked_BD + self.elapsed(elapsed_B)
        near_BNL = self._nearness(tokens_BLF[..., GAP], elapsed_B)
        H = self.last.heads
        state_BD = self.last(asked_BD, x_BLD, near_BNL[:, :H] + unseen_B1L)
        # 4. How much each token names items.
        again_BTL, next_BTL = self.naming(state_BD, x_BLD, near_BNL[:, H:])
        return Read(state_BD, again_BTL, next_BTL)

    def _nearness(self, gap_BL: Tensor, elapsed_B: Tensor) -> Tensor:
        """model.Nearness, seen from the last position (B, N, L)."""
        by_age_BLN = F.embedding(self._age(gap_BL, elapsed_B), self.by_age_GN)
        return by_age_BLN.transpose(1, 2) + self.near_NX[:, -gap_BL.shape[1] :]

    def _age(self, gap_BL: Tensor, elapsed_B: Tensor) -> Tensor:
        """How long ago each token was, in buckets; see attention.look_back."""
        time_BL = F.embedding(gap_BL, self.seconds_G[:, None])[..., 0].cumsum(1)
        elapsed_B1 = F.embedding(elapsed_B[:, None], self.seconds_G[:, None])[..., 0]
        return age_bucket(time_BL[:, -1:] - time_BL + elapsed_B1)


def _fields(model: Model) -> tuple[Tensor, Tensor, Tensor]:
    """Fewer tables than fields: how to find the row in each, where each begins, and all rows."""
    weights: list[Tensor] = [each.weight for each in model.fields]  # type: ignore[misc]
    vectors = {field: each.detach() for field, each in zip(FIELD_SIZES, weights, strict=True)}
    # Exact in float32, and GPUs multiply no matrices of integers in onnxruntime.
    place_FP, offsets, rows = torch.zeros(TOKEN_FIELDS, len(PAIRS) + 1), [0], []
    for table, (slow, fast) in enumerate(PAIRS):
        place_FP[slow, table], place_FP[fast, table] = FIELD_SIZES[fast], 1
        rows.append((vectors[slow][:, None] + vectors[fast]).flatten(0, 1))
        offsets.append(offsets[-1] + len(rows[-1]))
    place_FP[VALUE, -1] = 1
    return place_FP, torch.tensor(offsets).int(), torch.cat([*rows, vectors[VALUE]])


class Whole(nn.Module):
    """A block in which every token reads; what it may see of the others is a table.

    All heads of a token are rows that follow one another (M = L * H), so that nothing is moved.
    """

    compare_DZ: Tensor
    take_ZD: Tensor
    bias_MX: Tensor

    def __init__(self, block: Block, distance_XH: Tensor) -> None:
        super().__init__()
        self.block, self.heads = block, block.attention.heads
        compare_DZ, take_ZD = _composed(block.attention)
        self.register_buffer("compare_DZ", compare_DZ)
        self.register_buffer("take_ZD", take_ZD)
        at_X = torch.arange(len(distance_XH))
        ago_XX = at_X[:, None] - at_X
        bias_XXH = F.embedding(ago_XX.clamp(min=0), distance_XH.detach())
        bias_XXH = bias_XXH.masked_fill(ago_XX[..., None] < 0, NEVER)
        self.register_buffer("bias_MX", bias_XXH.transpose(1, 2).flatten(0, 1).contiguous())

    def forward(self, x_BLD: Tensor, unseen_B1L: Tensor) -> Tensor:
        """A token that is padding reads the others, which are all alike: as good as itself."""
        L = x_BLD.shape[1]
        norm_BLD = self.block.norm(x_BLD)
        query_BMD = (norm_BLD @ self.compare_DZ).view(len(x_BLD), L * self.heads, -1)
        logit_BML = query_BMD @ norm_BLD.transpose(1, 2)
        logit_BML = logit_BML + (self.bias_MX[: L * self.heads, :L] + unseen_B1L)
        read_BMD = _weights(logit_BML) @ norm_BLD
        x_BLD = x_BLD + read_BMD.view(len(x_BLD), L, -1) @ self.take_ZD
        return x_BLD + self.block.feed_forward(x_BLD)


class Last(nn.Module):
    """The last block, in which one position reads."""

    compare_DZ: Tensor
    take_ZD: Tensor

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.block: Block = model.blocks[-1]  # type: ignore[assignment]
        self.norm, self.heads = model.norm, model.config.heads
        compare_DZ, take_ZD = _composed(self.block.attention)
        self.register_buffer("compare_DZ", compare_DZ)
        self.register_buffer("take_ZD", take_ZD)

    def forward(self, asked_BD: Tensor, x_BLD: Tensor, bias_BHL: Tensor) -> Tensor:
        """The states of the last positions."""
        norm_BLD = self.block.norm(x_BLD)
        query_BHD = (self.block.norm(asked_BD) @ self.compare_DZ).unflatten(1, (self.heads, -1))
        logit_BHL = query_BHD @ norm_BLD.transpose(1, 2) + bias_BHL
        read_BHD = _weights(logit_BHL) @ norm_BLD
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

    def forward(self, state_BD: Tensor, x_BLD: Tensor, bias_BXL: Tensor) -> tuple[Tensor, Tensor]:
        """See model.Model.naming_logit; of tokens that name nothing it says nothing."""
        query_BX1D = (state_BD @ self.compare_DZ).unflatten(1, (WAYS, 1, -1))
        query_BYD = (query_BX1D + self.type_XTD).flatten(1, 2)
        logit_BXTL = (query_BYD @ x_BLD.transpose(1, 2)).unflatten(1, (WAYS, -1))
        logit_BXTL = (logit_BXTL + bias_BXL[:, :, None]).clamp(max=MAX_NAMING)
        return logit_BXTL[:, 0], logit_BXTL[:, 1]


def _weights(logit: Tensor) -> Tensor:
    """What is read of each token; next to nothing of those that are not seen, whatever they say."""
    return logit.maximum(logit.amax(-1, keepdim=True) + FAINT).softmax(-1)


def _composed(attention: Attention) -> tuple[Tensor, Tensor]:
    """Query and key as one matrix (D, Z), value and output as one (Z, D); Z = H * D."""
    query_HED, key_HED, value_HED = (
        each.weight.detach().unflatten(0, (attention.heads, -1))
        for each in (attention.query, attention.key, attention.value)
    )
    out_HED = attention.out.weight.detach().T.unflatten(0, (attention.heads, -1))
    compare_HDD = query_HED.transpose(1, 2) @ key_HED / sqrt(query_HED.shape[1])
    take_HDD = value_HED.transpose(1, 2) @ out_HED
    return compare_HDD.permute(1, 0, 2).flatten(1).contiguous(), take_HDD.flatten(0, 1)
