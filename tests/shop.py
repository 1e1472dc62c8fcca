"""Batches of a small shop, as the loop learns from them."""

import numpy as np
import torch

from features.encoding import ItemIndex
from tests.sequences import ITEMS, VOCABULARY, plan, sequences
from training.data.questions import Asking, ask, type_index
from training.data.windows import Batch, batches

CPU = torch.device("cpu")
TYPES = type_index(VOCABULARY)


def shop_batches(histories: list[bytes], epoch: int = 0) -> list[Batch]:
    """All that may be learnt from these histories, of the shop's six items."""
    return batches_of(histories, ITEMS, epoch, 256)


def batches_of(
    histories: list[bytes], items: ItemIndex, epoch: int, positions_a_batch: int
) -> list[Batch]:
    """The same, of any items."""
    rng = np.random.default_rng(epoch)
    several = sequences(*histories)
    questions = ask(several, TYPES, Asking(horizon_ticks=plan().horizon_ticks), rng)
    return list(
        batches(
            several, questions, items, max_length=6, positions_a_batch=positions_a_batch, rng=rng
        )
    )
