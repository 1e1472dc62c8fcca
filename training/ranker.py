"""The graph that serves: from encoded histories to intents, and the best items of the catalog.

B customers  L tokens  F token fields  C context fields  D width  V items  R item rows
T predicted types  U = T + 1, silence last  K asked items
S followers of an item  M = L + L * S: items that the tokens name
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from features.encoding import FIRST_ITEM_ROW, ITEM
from training.model import Asked, Model

UNAVAILABLE = -1.0  # below every probability


class Ranker(nn.Module):
    """A trained model whose item vectors, and what types add to them, have become constants."""

    item_RD: Tensor
    likes_TV: Tensor

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model.eval()
        item_RD = model.items().detach()
        self.register_buffer("item_RD", item_RD)
        self.register_buffer(
            "likes_TV", (model.type_TD.detach() @ item_RD[FIRST_ITEM_ROW:].T).exp()
        )

    def forward(
        self,
        tokens_BLF: Tensor,
        context_BC: Tensor,
        available_V: Tensor,
        weight_BT: Tensor,
        k: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See features.artefact.INPUTS and OUTPUTS."""
        # 1. What is known of the customers, and which type comes next.
        asked = self.model(tokens_BLF, context_BC[:, None], self.item_RD)
        intent_BU = self.model.intent(asked.state_BQD[:, 0]).softmax(-1)
        # 2. How much each item is liked, and named by tokens, up to a factor for each type.
        index_BM, share_BM = self._named(tokens_BLF[..., ITEM])
        liked_BV, named_BTM = self._weights(asked, share_BM)
        sum_BT = liked_BV @ self.likes_TV.T + named_BTM.sum(-1)
        share_BT = intent_BU[:, :-1] / sum_BT
        # 3. The ranking: all types together, weighted.
        weighted_BT = weight_BT * share_BT
        score_BV = liked_BV * (weighted_BT @ self.likes_TV)
        named_BM = (weighted_BT[:, None] @ named_BTM)[:, 0]
        score_BV = score_BV.scatter_add(1, index_BM, named_BM)
        score_BV = torch.where(available_V, score_BV, UNAVAILABLE)
        item_BK = _top(score_BV, k)
        # 4. The joint probabilities of the items asked for.
        liked_BKT = liked_BV.gather(1, item_BK)[..., None] * self.likes_TV.T[item_BK]
        same_BKM = (item_BK[..., None] == index_BM[:, None]).float()
        joint_BKT = (liked_BKT + same_BKM @ named_BTM.transpose(1, 2)) * share_BT[:, None]
        return intent_BU, item_BK, joint_BKT * available_V[item_BK][..., None]

    def _named(self, row_BL: Tensor) -> tuple[Tensor, Tensor]:
        """What each token names, itself and its followers: index of the item, and its share."""
        follower_BLS = F.embedding(row_BL, self.model.follower_RS)
        share_BLS = F.embedding(row_BL, self.model.share_RS)
        row_BM = torch.cat([row_BL, follower_BLS.flatten(1)], 1)
        share_BM = torch.cat([torch.ones_like(share_BLS[..., 0]), share_BLS.flatten(1)], 1)
        return (row_BM - FIRST_ITEM_ROW).clamp(min=0).long(), share_BM

    def _weights(self, asked: Asked, share_BM: Tensor) -> tuple[Tensor, Tensor]:
        """exp of the logits of model.py, scaled alike so that the largest is 1."""
        model = self.model
        wish_BD = model.wish(asked.state_BQD[:, 0])
        liked_BV = wish_BD @ self.item_RD[FIRST_ITEM_ROW:].T + model.items.bias_V
        again_BTL, next_BTL = model.naming_logit(asked, model.naming_type_TY)
        most_B = torch.maximum(liked_BV.amax(-1), torch.maximum(again_BTL, next_BTL).amax((-1, -2)))
        next_BTM = next_BTL.repeat_interleave(model.follower_RS.shape[1], dim=-1)
        named_BTM = (torch.cat([again_BTL, next_BTM], -1) - most_B[:, None, None]).exp()
        return (liked_BV - most_B[:, None]).exp(), named_BTM * share_BM[:, None]


def _top(score_BV: Tensor, k: Tensor) -> Tensor:
    count = k.item()
    torch._check(count >= 1)
    torch._check(count <= score_BV.shape[1])
    return score_BV.topk(count, dim=1).indices  # type: ignore[arg-type]  # k is an int64
