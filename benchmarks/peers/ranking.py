"""The work of every contestant: a history of item ids in, the ten best items of the catalog out.

Runs in the contestants' own environments: it needs nothing but NumPy and ONNX Runtime.

B customers   L items of a history   K items of an answer
"""

from pathlib import Path

import numpy as np
import onnxruntime

MODEL = Path(".interplay/peers/model.onnx")  # contestants are started in the top folder
ITEMS, LENGTH, TOP = 3_700, 100, 10
MAX_BATCH = 32


class Ranking:
    """The model, ready to run on the CPU; opened alike by every contestant."""

    def __init__(self, *, threads: int) -> None:
        """`threads` of one run; they do not spin between runs, which would starve the others."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(str(MODEL), options, providers=providers)
        self.rank(np.ones((MAX_BATCH, LENGTH), np.int64))

    def rank(self, ids_BL: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Items (int64) and scores (float32) of each customer, best first: (B, K) both."""
        item_BK, score_BK = self._session.run(("item_BK", "score_BK"), {"ids_BL": ids_BL})
        return item_BK, score_BK


def packed(item_BK: np.ndarray, score_BK: np.ndarray) -> list[bytes]:
    """Each customer's answer: the items, then their scores, little-endian as they are."""
    return [
        items.tobytes() + scores.tobytes() for items, scores in zip(item_BK, score_BK, strict=True)
    ]


def stacked(histories: list[bytes]) -> np.ndarray:
    """Packed histories as the model reads them, (B, L)."""
    return np.frombuffer(b"".join(histories), np.int64).reshape(len(histories), LENGTH)
