"""The scorer: a verified model that turns packed histories into probabilities.

B customers   L tokens   F token fields   C context fields   V items   T predicted types   K asked
N fresh items   E masks over V + N items   D1 a vector of width D, then a bias
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.artefact import ArtefactError, Contract, load_items, no_fresh, verify
from features.encoding import FreshIndex, ItemIndex, encode
from features.record import RECORD_BYTES
from features.vocabulary import Vocabulary
from serving.items.axis import LEAST_ROOM
from serving.model.golden import read_golden
from serving.model.opening import open_model
from serving.processes.leisure import Breathe, in_haste

Feeds = dict[str, np.ndarray]
"""Inputs of the graph by name; see features.artefact.INPUTS."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What the model says about each customer of a batch."""

    intent_BU: np.ndarray
    item_BK: np.ndarray
    joint_BKT: np.ndarray


@dataclass(frozen=True, slots=True)
class Fresh:
    """Items that the model has not been trained on; item i has index V + i."""

    items: ItemIndex | FreshIndex
    vectors_ND1: np.ndarray  # at least one row; those beyond `items` must not be eligible


class Scorer:
    """A loaded artefact. One thread at a time runs it."""

    def __init__(
        self,
        directory: Path,
        vocabulary: Vocabulary,
        *,
        threads: int,
        device: str = "auto",
        trusted_keys: str = "",
        breathe: Breathe = in_haste,
    ) -> None:
        """Verifies all of the artefact and loads it; raises ArtefactError."""
        self.contract: Contract = verify(directory, vocabulary, trusted_keys=trusted_keys)
        self.items: ItemIndex = load_items(directory)
        if not 0 < len(self.items.item_ids) == self.contract.item_count:
            raise ArtefactError(
                f"{directory}: items.parquet holds {len(self.items.item_ids)} items; "
                f"contract.json says {self.contract.item_count}"
            )
        breathe()
        max_length = self.contract.max_length
        self._opened = open_model(directory, device=device, threads=threads, max_length=max_length)
        breathe()
        self.on_run: Callable[[np.ndarray], None] = lambda tokens_BLF: None  # told what is read
        self.channel_code = vocabulary.channel_code
        fresh_ND1 = read_golden(directory / "golden.npz")["fresh_ND1"]
        self.no_fresh = Fresh(ItemIndex(()), no_fresh(fresh_ND1.shape[1]))
        self._no_fresh_yet = Fresh(
            ItemIndex(()), np.repeat(self.no_fresh.vectors_ND1, LEAST_ROOM, axis=0)
        )
        self._weight_1T = np.ones((1, len(self.contract.predicted_types)), np.float32)

    @property
    def provider(self) -> str:
        """What runs the model now: where CUDA fails later on, the CPU takes over."""
        return self._opened.provider

    def score(
        self,
        histories: Sequence[bytes],
        channels: Sequence[int],
        now_ticks: np.ndarray,
        *,
        eligible_EV: np.ndarray,
        mask_B: np.ndarray,
        weight_BT: np.ndarray | None = None,
        fresh: Fresh | None = None,
        k: int,
    ) -> Scores:
        """Scores of customers with these packed histories, asked for in these channels.

        Items are ranked by their probabilities, weighted by type; all types alike by default.

        `eligible_EV` has a column for each row of `fresh.vectors_ND1` after those of the known
        items; without `fresh` it may have none.
        """
        if fresh is None:
            fresh, eligible_EV = self.no_fresh, self._widened(eligible_EV)
        feeds = self.encoded(histories, channels, now_ticks, fresh=fresh)
        self.on_run(feeds["tokens_BLF"])
        feeds |= {"eligible_EV": eligible_EV, "mask_B": mask_B, "k": np.array(k, np.int64)}
        if weight_BT is not None:
            feeds["weight_BT"] = weight_BT
        return self.run(feeds)

    def encoded(
        self,
        histories: Sequence[bytes],
        channels: Sequence[int],
        now_ticks: np.ndarray,
        *,
        fresh: Fresh,
    ) -> Feeds:
        """What of the graph's inputs tells of the customers, and of fresh items."""
        tokens_BLF, context_BC = encode(
            histories,
            channels,
            now_ticks,
            items=self.items,
            max_length=self.contract.max_length,
            fresh=fresh.items,
        )
        return {
            "tokens_BLF": tokens_BLF,
            "context_BC": context_BC,
            "weight_BT": np.repeat(self._weight_1T, len(histories), axis=0),
            "fresh_ND1": fresh.vectors_ND1,
        }

    def _widened(self, eligible_EV: np.ndarray) -> np.ndarray:
        """With a column for the row that stands for no fresh item."""
        return np.pad(
            eligible_EV, ((0, 0), (0, self.contract.item_count + 1 - eligible_EV.shape[1]))
        )

    def run(self, feeds: Mapping[str, np.ndarray]) -> Scores:
        """One run of the graph."""
        return Scores(*self._opened.run(feeds))

    def warm_up(self, *, max_batch: int) -> None:
        """Runs the shapes that take long at first, so that no caller waits for them."""
        eligible_EV = np.zeros((1, self.contract.item_count + LEAST_ROOM), bool)
        for size, length, k in self._opened.shapes(max_batch):
            histories = [bytes(RECORD_BYTES * length)] * size
            self.score(
                histories,
                [1] * size,
                np.zeros(size, np.int64),
                eligible_EV=eligible_EV,
                mask_B=np.zeros(size, np.int64),
                fresh=self._no_fresh_yet,
                k=min(k, eligible_EV.shape[1]),
            )
