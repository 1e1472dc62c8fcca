"""The scorer: a verified ONNX graph that turns packed histories into probabilities.

B customers   L tokens   F token fields   C context fields   V items   T predicted types   K asked
N fresh items   E masks over V + N items   D1 a vector of width D, then a bias
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from features.artefact import (
    GOLDEN_TOLERANCE,
    INPUTS,
    OUTPUTS,
    ArtefactError,
    Contract,
    load_items,
    no_fresh,
    verify,
)
from features.encoding import FreshIndex, ItemIndex, encode
from features.record import RECORD_BYTES
from features.vocabulary import Vocabulary

PREFERRED_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
SAME_SCORE = 1e-3  # closer than this, relatively, two items may change places on another machine


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

    def __init__(self, directory: Path, vocabulary: Vocabulary, *, threads: int) -> None:
        """Verifies all of the artefact and loads it; raises ArtefactError."""
        self.contract: Contract = verify(directory, vocabulary)
        self.items: ItemIndex = load_items(directory)
        if not 0 < len(self.items.item_ids) == self.contract.item_count:
            raise ArtefactError(
                f"{directory}: items.parquet holds {len(self.items.item_ids)} items; "
                f"contract.json says {self.contract.item_count}"
            )
        self._session = _open(directory / "model.onnx", threads=threads)
        self.provider: str = self._session.get_providers()[0]
        self.on_run: Callable[[np.ndarray], None] = lambda tokens_BLF: None  # told what is read
        self.channel_code = vocabulary.channel_code
        (fresh,) = (each for each in self._session.get_inputs() if each.name == "fresh_ND1")
        self._no_fresh = Fresh(ItemIndex(()), no_fresh(fresh.shape[1]))
        self._weight_1T = np.ones((1, len(self.contract.predicted_types)), np.float32)
        verify_golden(self, directory / "golden.npz")

    def score(
        self,
        histories: Sequence[bytes],
        channels: Sequence[int],
        now_ticks: np.ndarray,
        *,
        eligible_EV: np.ndarray,
        mask_B: np.ndarray,
        fresh: Fresh | None = None,
        k: int,
    ) -> Scores:
        """Scores of customers with these packed histories, asked for in these channels.

        `eligible_EV` has a column for each row of `fresh.vectors_ND1` after those of the known
        items; without `fresh` it may have none.
        """
        if fresh is None:
            fresh, eligible_EV = self._no_fresh, self._widened(eligible_EV)
        tokens_BLF, context_BC = encode(
            histories,
            channels,
            now_ticks,
            items=self.items,
            max_length=self.contract.max_length,
            fresh=fresh.items,
        )
        self.on_run(tokens_BLF)
        weight_BT = np.repeat(self._weight_1T, len(histories), axis=0)
        feeds = (tokens_BLF, context_BC, weight_BT, eligible_EV, mask_B, fresh.vectors_ND1)
        return self.run(dict(zip(INPUTS, (*feeds, np.array(k, np.int64)), strict=True)))

    def _widened(self, eligible_EV: np.ndarray) -> np.ndarray:
        """With a column for the row that stands for no fresh item."""
        return np.pad(
            eligible_EV, ((0, 0), (0, self.contract.item_count + 1 - eligible_EV.shape[1]))
        )

    def run(self, feeds: Mapping[str, np.ndarray]) -> Scores:
        """One run of the graph."""
        return Scores(*self._session.run(OUTPUTS, feeds))

    def warm_up(self, *, max_batch: int) -> None:
        """Runs the shapes at the corners, so that the first caller does not pay for them."""
        eligible_EV = np.ones((1, self.contract.item_count), bool)
        for size in (1, max_batch):
            for length in (0, 1, self.contract.max_length):
                histories = [bytes(RECORD_BYTES * length)] * size
                ticks = np.zeros(size, np.int64)
                k = min(10, self.contract.item_count)
                mask_B = np.zeros(size, np.int64)
                self.score(
                    histories, [1] * size, ticks, eligible_EV=eligible_EV, mask_B=mask_B, k=k
                )


def _open(path: Path, *, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors arrive as exceptions
    # Threads that spin between runs would take the cores from the event loop.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    available = onnxruntime.get_available_providers()
    providers = [each for each in PREFERRED_PROVIDERS if each in available]
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime's own exceptions share no narrower class
        raise ArtefactError(f"{path} cannot be loaded: {error}") from error
    for kind, given, right in (
        ("inputs", session.get_inputs(), INPUTS),
        ("outputs", session.get_outputs(), OUTPUTS),
    ):
        names = tuple(each.name for each in given)
        if set(names) != set(right):
            raise ArtefactError(f"{path} has {kind} {names}; they must be {right}")
    return session


def verify_golden(scorer: Scorer, path: Path) -> None:
    """Runs the golden inputs; raises ArtefactError telling which output differs by how much."""
    with np.load(path) as golden:
        missing = [name for name in (*INPUTS, *OUTPUTS) if name not in golden]
        if missing:
            raise ArtefactError(f"{path} lacks {missing}")
        feeds = {name: golden[name] for name in INPUTS}
        expected = Scores(*(golden[name] for name in OUTPUTS))
    try:
        given = scorer.run(feeds)
    except Exception as error:  # as above
        raise ArtefactError(f"{path}: the model cannot run on it: {error}") from error
    for name in ("intent_BU", "joint_BKT"):
        _compare(path, name, getattr(given, name), getattr(expected, name))
    _compare_ranking(path, given, expected, feeds["weight_BT"])


def _compare(path: Path, name: str, given: np.ndarray, expected: np.ndarray) -> None:
    if given.shape != expected.shape:
        raise ArtefactError(f"{path}: {name} is {given.shape}; golden is {expected.shape}")
    distance = float(np.max(np.abs(given - expected), initial=0.0))
    if not distance <= GOLDEN_TOLERANCE:  # NaN too
        raise ArtefactError(
            f"{path}: {name} is off by {distance:.3g}; the tolerance is {GOLDEN_TOLERANCE:g}"
        )


def _compare_ranking(path: Path, given: Scores, expected: Scores, weight_BT: np.ndarray) -> None:
    """Items must be the same wherever their scores stand clear of their neighbours'."""
    score_BK = np.einsum("bkt,bt->bk", expected.joint_BKT, weight_BT)
    clear_BK = np.abs(np.diff(score_BK, axis=1)) > SAME_SCORE * score_BK[:, 1:]
    clear_BK = np.pad(clear_BK, ((0, 0), (1, 0)), constant_values=True)[:, :-1] & clear_BK
    differs_BK = (given.item_BK != expected.item_BK)[:, :-1] & clear_BK
    if differs_BK.any():
        raise ArtefactError(f"{path}: {int(differs_BK.sum())} ranked items differ from golden")
