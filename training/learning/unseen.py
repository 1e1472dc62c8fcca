"""Items that nothing has been learnt of: taken for what seldom seen ones are, and as likely.

An item that stands in the catalog but was never chosen is learnt to be unlikely, as it never comes:
yet it may be new. How likely new items are is fitted on the validation questions: so that known
items, taken for new ones, would be expected as often as they really came.

B customers  Q asked positions  N questions  S sampled items  V items  D width
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from features.encoding import FIRST_ITEM_ROW, ITEM
from training.data.windows import Batch
from training.learning.learner import tensors_of
from training.model.loss import Answers, wished
from training.model.model import Model
from training.model.sampling import whole

SELDOM = 5  # interactions: what so few have left is what an unseen item is most like
SAMPLE = 1024  # known items that are taken for new ones
QUESTIONS = 4096  # about so many are asked
AT_ONCE = 256  # bounds questions x items


def cold_own(own_VD: np.ndarray, count_V: np.ndarray) -> np.ndarray:
    """What stands for an unseen item's own vector: the mean of what seldom seen ones have."""
    seldom_V = (count_V >= 1) & (count_V <= SELDOM)
    mean: np.ndarray = own_VD[seldom_V if seldom_V.any() else slice(None)].mean(0)
    return mean


@torch.no_grad()
def settle(model: Model, count_V: np.ndarray, validation: Iterable[Batch]) -> float | None:
    """Changes the items that were never seen; gives the bias of an unseen item.

    None, and no change, where the validation questions are not enough to tell.
    """
    items, seen = model.items, np.flatnonzero(count_V)
    own_VD = items.own.weight.detach()[FIRST_ITEM_ROW:].cpu().numpy()
    own_D = torch.from_numpy(cold_own(own_VD, count_V)).to(items.own.weight)
    some_S = np.random.default_rng(0).permutation(seen)[:SAMPLE]
    bias = _fair_bias(model.eval(), torch.from_numpy(some_S), own_D, validation)
    if bias is not None:
        unseen = torch.from_numpy(np.flatnonzero(count_V == 0))
        items.own.weight[FIRST_ITEM_ROW + unseen] = own_D
        items.bias_V[unseen] = bias
    return bias


def _fair_bias(
    model: Model, some_S: Tensor, own_D: Tensor, validation: Iterable[Batch]
) -> float | None:
    """With which the sampled items, by content alone, are expected as often as they came."""
    items = model.items
    vector_SD = items.content(items.content_VW[some_S.to(own_D.device)]) + own_D
    row_S, came, expected = FIRST_ITEM_ROW + some_S.to(own_D.device), 0, 0.0
    for wish_ND, all_N, row_N in _answered(model, validation):
        came += int(torch.isin(row_N, row_S).sum())
        expected += float((wish_ND @ vector_SD.T - all_N[:, None]).exp().sum())
    return float(np.log(came / expected)) if came and expected else None


def _answered(model: Model, validation: Iterable[Batch]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Wishes, the log weight of all items together, and what came."""
    shelf, asked = whole(model.items), 0
    for batch in validation:
        tokens_BLF, context_BLC, type_BL, row_BL = tensors_of(batch, shelf.item_MD.device)
        named_BL = (type_BL >= 0) & (row_BL >= FIRST_ITEM_ROW)
        state = model(tokens_BLF, context_BLC, shelf.item_MD)
        answers = Answers(type_BL, row_BL)
        wish_ND, _, named_N = wished(model, state, tokens_BLF[..., ITEM], shelf, answers, named_BL)
        row_N = row_BL[named_BL]
        parts = (each.split(AT_ONCE) for each in (wish_ND, named_N, row_N))
        for wish_nD, named_n, row_n in zip(*parts, strict=True):
            any_n = (wish_nD @ shelf.item_MD.T + shelf.bias_M).logsumexp(1)
            yield wish_nD, torch.logaddexp(any_n, named_n), row_n
        asked += len(row_N)
        if asked >= QUESTIONS:
            return
