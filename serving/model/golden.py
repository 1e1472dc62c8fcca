"""Golden outputs: what a model that is loaded must give before it serves.

B customers   T predicted types   K asked
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from features.artefact import INPUTS, OUTPUTS, ArtefactError, sound, tolerance_of

SAME_SCORE = 10.0  # tolerances: closer, relatively, two items may change places elsewhere

Run = Callable[[Mapping[str, np.ndarray]], Sequence[np.ndarray]]
"""From the graph's inputs by name to its outputs in order."""


def read_golden(path: Path) -> dict[str, np.ndarray]:
    """Inputs and outputs by name, and what else it holds; raises ArtefactError."""
    with sound(path), np.load(path, allow_pickle=False) as golden:
        missing = [name for name in (*INPUTS, *OUTPUTS) if name not in golden]
        if missing:
            raise ArtefactError(f"{path} lacks {missing}")
        return dict(golden)


def verify_golden(run: Run, path: Path) -> None:
    """Runs the golden inputs; raises ArtefactError telling which output differs by how much."""
    golden = read_golden(path)
    if not golden["intent_BU"].size or not golden["item_BK"].size:
        raise ArtefactError(f"{path} asks for nothing, and so proves nothing")
    try:
        given = dict(zip(OUTPUTS, run({name: golden[name] for name in INPUTS}), strict=True))
    except Exception as error:  # onnxruntime's own exceptions share no narrower class
        raise ArtefactError(f"{path}: the model cannot run on it: {error}") from error
    for name in ("intent_BU", "joint_BKT"):
        _compare(path, name, given[name], golden)
    _compare_ranking(path, given["item_BK"], golden)


def _compare(path: Path, name: str, given: np.ndarray, golden: dict[str, np.ndarray]) -> None:
    expected, tolerance = golden[name], tolerance_of(golden)
    if given.shape != expected.shape:
        raise ArtefactError(f"{path}: {name} is {given.shape}; golden is {expected.shape}")
    distance = float(np.max(np.abs(given - expected), initial=0.0))
    if not distance <= tolerance:  # NaN too
        raise ArtefactError(
            f"{path}: {name} is off by {distance:.3g}; the tolerance is {tolerance:g}"
        )


def _compare_ranking(path: Path, item_BK: np.ndarray, golden: dict[str, np.ndarray]) -> None:
    """Items must be the same wherever their scores stand clear of their neighbours'."""
    score_BK = np.einsum("bkt,bt->bk", golden["joint_BKT"], golden["weight_BT"])
    near = SAME_SCORE * tolerance_of(golden)
    clear_BK = np.abs(np.diff(score_BK, axis=1)) > near * score_BK[:, 1:]
    clear_BK = np.pad(clear_BK, ((0, 0), (1, 0)), constant_values=True)[:, :-1] & clear_BK
    differs_BK = (item_BK != golden["item_BK"])[:, :-1] & clear_BK
    if differs_BK.any():
        raise ArtefactError(f"{path}: {int(differs_BK.sum())} ranked items differ from golden")
