"""The contest's model: a small SASRec (causal transformer) with the catalog's top ten in the graph.

Its weights are random, from a fixed seed: what it costs does not depend on what it has learned.
The last block computes the last position only, as any export for serving would.

B customers   L items of a history   D width   V items   K items of an answer
"""

import logging
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.peers.ranking import ITEMS, LENGTH, TOP

WIDTH, HEADS, BLOCKS = 64, 2, 2


class Block(nn.Module):
    """Pre-norm attention of the asked positions to all before them, then a feed-forward layer."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
        self.query, self.out = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.key_value = nn.Linear(WIDTH, 2 * WIDTH)
        self.wide, self.narrow = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x_BLD: Tensor, *, last_only: bool) -> Tensor:
        """All positions, or only the last one."""
        normed_BLD = self.norms[0](x_BLD)
        asked_BQD = normed_BLD[:, -1:] if last_only else normed_BLD
        key_BLD, value_BLD = self.key_value(normed_BLD).chunk(2, dim=-1)
        query_BHQD, key_BHLD, value_BHLD = map(
            _by_head, (self.query(asked_BQD), key_BLD, value_BLD)
        )
        seen_BHQD = F.scaled_dot_product_attention(
            query_BHQD, key_BHLD, value_BHLD, is_causal=not last_only
        )
        x_BQD = x_BLD[:, -1:] if last_only else x_BLD
        x_BQD = x_BQD + self.out(seen_BHQD.transpose(1, 2).flatten(2))
        return x_BQD + self.narrow(F.gelu(self.wide(self.norms[1](x_BQD))))


def _by_head(x_BLD: Tensor) -> Tensor:
    return x_BLD.unflatten(-1, (HEADS, -1)).transpose(1, 2)


class Sasrec(nn.Module):
    """From histories to the ten best items; id 0 stands for no item and is never an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.items = nn.Embedding(ITEMS + 1, WIDTH)
        self.positions = nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, ids_BL: Tensor) -> tuple[Tensor, Tensor]:
        """Items and scores, best first."""
        x_BLD = self.items(ids_BL) + self.positions.weight
        for number, block in enumerate(self.blocks, start=1):
            x_BLD = block(x_BLD, last_only=number == BLOCKS)
        score_BV = self.norm(x_BLD[:, 0]) @ self.items.weight[1:].T
        score_BK, index_BK = score_BV.topk(TOP, dim=1)
        return index_BK + 1, score_BK


def write_model(path: Path) -> None:
    """Exports the graph; the batch size stays open."""
    torch.manual_seed(0)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it talks of its own deprecations
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            Sasrec().eval(),
            (torch.ones(2, LENGTH, dtype=torch.long),),
            input_names=["ids_BL"],
            output_names=["item_BK", "score_BK"],
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None  # as dynamo=True says
    path.parent.mkdir(parents=True, exist_ok=True)
    program.save(path)
