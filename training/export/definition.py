"""What a graph must answer, by definition: the model's own forward, item by item, in float64.

B customers  L tokens  D width  T predicted types  U types and silence  K asked items
N newest tokens  X ways to name an item  W items with the fresh ones  R item rows  S followers
M = N * S
"""

import numpy as np
import torch
from torch import Tensor

from features.artefact import INPUTS
from features.encoding import FIRST_ITEM_ROW, ITEM
from training.model.model import Asked, Model
from training.model.naming import Naming, Reach, within_reach


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
    items, joints = [], []
    for row, wish_TD in enumerate(wish_BTD):
        weight_TW = (wish_TD @ item_RD[FIRST_ITEM_ROW:].T + bias_W).double().exp()
        if model.naming:
            near, naming_XTN = _named(model.naming, tokens_BLF[row : row + 1], asked, row)
            _add_named(weight_TW, model.naming, near.row_NK[0], *naming_XTN)
        joint_TW = weight_TW / weight_TW.sum(1, keepdim=True) * intent_BU[row, :-1, None]
        eligible_W = inputs["eligible_EV"][inputs["mask_B"][row]]
        score_W = torch.where(eligible_W, inputs["weight_BT"][row].double() @ joint_TW, -1)
        item_K = score_W.topk(int(inputs["k"])).indices
        items.append(item_K)
        joints.append(torch.where(eligible_W, joint_TW, 0)[:, item_K].T)
    outputs = (intent_BU.float(), torch.stack(items), torch.stack(joints).float())
    return tuple(each.numpy() for each in outputs)


def _named(naming: Naming, tokens_1LF: Tensor, asked: Asked, row: int) -> tuple[Reach, Tensor]:
    """The newest tokens of one customer, and the weight with which they name items (X, T, N)."""
    near = within_reach(
        tokens_1LF[..., ITEM].long(), torch.ones(1, 1, dtype=torch.bool), naming.reach
    )
    state_11D, x_1LD, age_11L = (
        each[row : row + 1] for each in (asked.state_BQD, asked.x_BLD, asked.age_BQL)
    )
    logits = [naming.logit(state_11D, type_Y, x_1LD, age_11L, near) for type_Y in naming.type_TY]
    return near, torch.cat(logits, 1).double().exp()


def _add_named(
    weight_TW: Tensor, naming: Naming, row_N: Tensor, again_TN: Tensor, next_TN: Tensor
) -> None:
    """Each token about an item names it again, and those that followed it; fresh ones have none."""
    names_N = row_N >= FIRST_ITEM_ROW
    weight_TW.index_add_(1, row_N[names_N] - FIRST_ITEM_ROW, again_TN[:, names_N])
    known_N = names_N & (row_N < len(naming.follower_RS))
    row_M = naming.follower_RS[row_N[known_N]].flatten()
    next_TM = (next_TN[:, known_N, None] * naming.share_RS[row_N[known_N]]).flatten(1)
    is_M = row_M >= FIRST_ITEM_ROW
    weight_TW.index_add_(1, row_M[is_M] - FIRST_ITEM_ROW, next_TM[:, is_M])
