"""How the newest tokens of a history name items again, and those that most often followed them.

B customers  L tokens  Q asked positions  D width  R item rows  S followers of an item
N positions at which an item is to be named  K tokens within reach of each, the newest first
X ways to name an item: again, next      Y = X * D
"""

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor, nn

from features.encoding import FIRST_ITEM_ROW
from training.data.steps import Followers
from training.model.attention import NEVER, Nearness

WAYS = 2
MAX_NAMING = 20.0  # a log weight; keeps sums of exponentials finite in float32


@dataclass(frozen=True, slots=True)
class Reach:
    """The tokens that may name an item at each of N positions."""

    asked_BQ: Tensor  # which positions those are
    at_NK: Tensor  # places among the L tokens; 0 where there are no more
    row_NK: Tensor  # token rows; 0 where there are no more


def within_reach(row_BL: Tensor, asked_BQ: Tensor, reach: int) -> Reach:
    """The newest tokens up to each asked position, its own included."""
    L, Q = row_BL.shape[1], asked_BQ.shape[1]
    customer_N, asked_N = asked_BQ.nonzero().T
    ago_K = torch.arange(min(reach, L), device=row_BL.device)
    at_NK = asked_N[:, None] + (L - Q) - ago_K
    row_NK = row_BL[customer_N[:, None], at_NK.clamp(min=0)] * (at_NK >= 0)
    return Reach(asked_BQ, at_NK.clamp(min=0), row_NK)


class Naming(nn.Module):
    """Which of the tokens name an item, how much, and what they name."""

    follower_RS: Tensor
    share_RS: Tensor
    whole_R: Tensor
    step_R: Tensor

    def __init__(self, width: int, reach: int, type_count: int, followers: Followers) -> None:
        super().__init__()
        self.reach = reach
        self.query = nn.Linear(width, WAYS * width, bias=False)
        self.key = nn.Linear(width, WAYS * width, bias=False)
        self.type_TY = nn.Parameter(torch.zeros(type_count, WAYS * width))
        self.nearness = Nearness(reach, WAYS)
        self.register_buffer("follower_RS", torch.from_numpy(followers.row_RF))
        self.register_buffer("share_RS", torch.from_numpy(followers.share_RF))
        self.register_buffer("whole_R", self.share_RS.sum(1))
        self.register_buffer("step_R", torch.from_numpy(followers.step_R))

    def logit(
        self, state_BQD: Tensor, type_BQY: Tensor, x_BLD: Tensor, age_BQL: Tensor, near: Reach
    ) -> Tensor:
        """The log weight (X, N, K) with which each token names items; NEVER if it names none.

        `type_BQY` are rows of type_TY: the type that is to come at each asked position.
        """
        query_XBQD, key_XBLD = _by_way(self.query(state_BQD) + type_BQY), _by_way(self.key(x_BLD))
        logit_XBQL = query_XBQD @ key_XBLD.transpose(2, 3) / sqrt(x_BLD.shape[-1])
        logit_XNK = logit_XBQL[:, near.asked_BQ].gather(2, near.at_NK.expand(WAYS, -1, -1))
        age_NK = age_BQL[near.asked_BQ].gather(1, near.at_NK)
        ago_1K = torch.arange(near.at_NK.shape[1], device=age_NK.device)[None]
        logit_XNK = logit_XNK + self.nearness(ago_1K, age_NK[None])[:, 0]
        return logit_XNK.clamp(max=MAX_NAMING).masked_fill(near.row_NK < FIRST_ITEM_ROW, NEVER)

    def shares(
        self, row_NK: Tensor, row_N: Tensor, new_NK: Tensor, new_N: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Of what each token names: the share of the right item, and that of all (X, N, K).

        While the model learns, the very step that it is to learn is not counted among those that
        went before (leave-one-out): it would have to be taken on trust when serving. Of items that
        are taken for new nothing is counted at all.
        """
        right_NK = (row_NK == row_N[:, None]).float()
        next_NK, whole_NK = self.share_of(row_NK, row_N[:, None]), self.whole_R[row_NK]
        if self.training:
            newest_N1 = (row_NK >= FIRST_ITEM_ROW).int().argmax(1, keepdim=True)
            last_NK = row_NK == row_NK.gather(1, newest_N1)
            step_NK = (self.step_R[row_NK] * last_NK).minimum(next_NK)
            next_NK, whole_NK = next_NK - step_NK, whole_NK - step_NK
            whole_NK = (whole_NK - next_NK * new_N[:, None]) * ~new_NK
            next_NK = next_NK * ~(new_NK | new_N[:, None])
        ones_NK = torch.ones_like(right_NK)
        return torch.stack([right_NK, next_NK]), torch.stack([ones_NK, whole_NK])

    def share_of(self, row: Tensor, follower: Tensor) -> Tensor:
        """The share that an item has of what followed the item of another row, elementwise."""
        S = self.follower_RS.shape[1]
        followers, first = self.follower_RS.flatten(), row * S
        step, place = 1 << max(S - 1, 0).bit_length(), first
        while step := step // 2:  # to the last one that is not beyond
            further = place + step
            ahead = followers[further.clamp(max=len(followers) - 1)] <= follower
            place = torch.where((further < first + S) & ahead, further, place)
        found = followers[place] == follower
        return self.share_RS.flatten()[place] * found


def _by_way(x_BLY: Tensor) -> Tensor:
    return x_BLY.unflatten(-1, (WAYS, -1)).movedim(-2, 0)
