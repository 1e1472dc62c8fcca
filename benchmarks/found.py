"""The ten items that a trained model finds: its exported graph, asked as serving asks it.

N examples   V items   K items found   B examples at once   T predicted types   D1 width and a bias
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from features.artefact import INPUTS, OUTPUTS, no_fresh
from features.encoding import ItemIndex, encode
from features.record import RECORD, unpack
from training.data.steps import item_indices
from training.export.export import GRAPH, open_graph, write_graph
from training.export.ranker import Ranker
from training.judging.examples import Examples

K = 10
AT_ONCE = 64


def found_by(
    ranker: Ranker, examples: Examples, items: ItemIndex, weight_NT: np.ndarray, *, unseen: bool
) -> np.ndarray:
    """Indices (N, K) of the best items by weight; with `unseen` none of the history."""
    with TemporaryDirectory(prefix="interplay-") as folder:
        write_graph(ranker, Path(folder) / GRAPH)
        session = open_graph(Path(folder) / GRAPH)
    fresh_1D1 = no_fresh(ranker.model.config.width + 1)
    found_NK = np.empty((len(examples), K), np.int64)
    for start in range(0, len(examples), AT_ONCE):
        at = np.arange(start, min(start + AT_ONCE, len(examples)))
        some = examples[at]
        tokens_BLF, context_BC = encode(
            some.histories,
            some.channel_N.tolist(),
            some.tick_N,
            items=items,
            max_length=ranker.model.config.max_length,
        )
        eligible_EV, mask_B = _eligible(some, items, unseen)
        values = (tokens_BLF, context_BC, weight_NT[at], eligible_EV, mask_B, fresh_1D1)
        feeds = dict(zip(INPUTS, (*values, np.array(K, np.int64)), strict=True))
        _, found_NK[at], _ = session.run(OUTPUTS, feeds)
    return found_NK


def _eligible(examples: Examples, items: ItemIndex, unseen: bool) -> tuple[np.ndarray, np.ndarray]:
    """Masks, the last column for what stands for fresh items, and which of them is whose."""
    V = len(items.item_ids)
    if not unseen:
        return np.ones((1, V + 1), bool), np.zeros(len(examples), np.int64)
    eligible_BV = np.ones((len(examples), V + 1), bool)
    for eligible_V, history in zip(eligible_BV, examples.histories, strict=True):
        seen = item_indices(unpack(np.frombuffer(history, RECORD)).item, items)
        eligible_V[seen[seen >= 0]] = False
    return eligible_BV, np.arange(len(examples))


def ranks_of(found_NK: np.ndarray, right_N: np.ndarray) -> np.ndarray:
    """The rank of each right item, from 1; infinite if it is not among those found."""
    is_NK = found_NK == right_N[:, None]
    return np.where(is_NK.any(axis=1), 1.0 + is_NK.argmax(axis=1), np.inf)


def gain_of(rank_N: np.ndarray) -> np.ndarray:
    """What each example adds to NDCG@10."""
    return np.where(rank_N <= K, 1 / np.log2(1 + rank_N), 0.0)
