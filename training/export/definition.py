"""What a graph must answer, by definition: the model's own forward, item by item, in float64.

B customers  L tokens  D width  T predicted types  U types and silence  K asked items
W items with the fresh ones  R item rows  S followers  M = L * S
"""

import numpy as np
import torch
from torch import Tensor

from features.artefact import INPUTS
from features.encoding import FIRST_ITEM_ROW, ITEM
from training.model.model import Model


@torch.no_grad()
def define(model: Model, feeds: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """features.artefact.OUTPUTS; one customer after the other, as every item is looked at."""
    inputs = {name: torch.from_numpy(feeds[name]) for name in INPUTS}
    tokens_BLF, fresh_NZ = inputs["tokens_BLF"], inputs["fresh_ND1"]
    item_RD = torch.cat([model.items(), fresh_NZ[:, :-1]])
    bias_W = torch.cat([model.items.bias_V, fresh_NZ[:, -1]])
    asked = model(tokens_BLF, inputs["context_BC"][:, None], item_RD)
    intent_BU = model.intent(asked.state_BQD[:, 0]).double().softmax(-1)
    wish_BTD = model.wish(asked.state_BQD) + model.type_TD
    naming_XBTL = model.naming_logit(asked, model.naming_type_TY).double().exp()
    items, joints = [], []
    for row, wish_TD in enumerate(wish_BTD):
        weight_TW = (wish_TD @ item_RD[FIRST_ITEM_ROW:].T + bias_W).double().exp()
        _add_named(weight_TW, model, tokens_BLF[row, :, ITEM], *naming_XBTL[:, row])
        joint_TW = weight_TW / weight_TW.sum(1, keepdim=True) * intent_BU[row, :-1, None]
        eligible_W = inputs["eligible_EV"][inputs["mask_B"][row]]
        score_W = torch.where(eligible_W, inputs["weight_BT"][row].double() @ joint_TW, -1)
        item_K = score_W.topk(int(inputs["k"])).indices
        items.append(item_K)
        joints.append(torch.where(eligible_W, joint_TW, 0)[:, item_K].T)
    outputs = (intent_BU.float(), torch.stack(items), torch.stack(joints).float())
    return tuple(each.numpy() for each in outputs)


def _add_named(
    weight_TW: Tensor, model: Model, row_L: Tensor, again_TL: Tensor, next_TL: Tensor
) -> None:
    """Each token about an item names it again, and those that followed it; fresh ones have none."""
    names_L = row_L >= FIRST_ITEM_ROW
    weight_TW.index_add_(1, row_L[names_L] - FIRST_ITEM_ROW, again_TL[:, names_L])
    known_L = names_L & (row_L < len(model.follower_RS))
    row_M, share_LS = model.follower_RS[row_L[known_L]].flatten(), model.share_RS[row_L[known_L]]
    next_TM = (next_TL[:, known_L, None] * share_LS).flatten(1)
    is_M = row_M >= FIRST_ITEM_ROW
    weight_TW.index_add_(1, row_M[is_M] - FIRST_ITEM_ROW, next_TM[:, is_M])
