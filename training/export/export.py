"""From a trained model to an artefact: the ONNX graph, checked against torch, and its companions.

B customers  L tokens  F token fields  V items  T predicted types  K asked items
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnx
import onnxruntime

from features.artefact import (
    ABSENT,
    GOLDEN_TOLERANCES,
    GRAPH,
    INPUTS,
    OUTPUTS,
    load_tables,
    tolerance_of,
)
from features.encoding import CHANNEL, FIELD_SIZES, FIRST_ITEM_ROW, GAP, ITEM, TOKEN_FIELDS, TYPE
from training.export.definition import define
from training.export.graph import Written
from training.export.ranker import Ranker

CORNERS = ((1, 1, 1), (1, 0, 10), (1, None, 100), (5, 3, 10), (32, None, 50))
"""Customers, tokens (0: no history, None: as many as the model reads), and items asked for."""
BARRED = 0.1  # share of the items that are not eligible, when the graph is checked
FRESH = 3  # fresh items, when the graph is checked; the last is absent
FRESH_STD = 0.3

Session: TypeAlias = onnxruntime.InferenceSession
Feeds = dict[str, np.ndarray]
Outputs = tuple[np.ndarray, ...]


class ExportError(RuntimeError):
    """A graph that does not give what the trained model gives."""


def write_graph(ranker: Ranker, path: Path) -> None:
    """Writes the graph of a trained model; batch size, length and k stay open."""
    ranker.graph().save(path)


def read_graph(path: Path) -> Written:
    """The graph of an artefact, and its tables."""
    return Written(onnx.load(path, load_external_data=False), load_tables(path))


def open_graph(graph: Written | Path, *, threads: int = 0) -> Session:
    """A graph ready to run on the CPU; 0 threads are as many as there are cores."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    content: str | bytes
    if isinstance(graph, Path):
        content, values = str(graph), values_of(load_tables(graph))
    else:
        content, values = graph.model_proto.SerializeToString(), values_of(graph.tables)
    options.add_external_initializers([*values], [*values.values()])
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    session.tables = values  # onnxruntime may read them where they lie
    return session


def values_of(tables: Mapping[str, np.ndarray]) -> dict[str, onnxruntime.OrtValue]:
    """Tables as onnxruntime takes them."""
    as_value = onnxruntime.OrtValue.ortvalue_from_numpy
    return {name: as_value(table) for name, table in tables.items()}


# ---- Parity ------------------------------------------------------------------------------------


def check_parity(ranker: Ranker, path: Path) -> float:
    """How far the graph is from the trained model's own forward over all corners.

    Raises ExportError if it is too far.
    """
    session, rng = open_graph(path), np.random.default_rng(1)
    tolerance = GOLDEN_TOLERANCES[ranker.precision]
    longest, V = ranker.model.config.max_length, ranker.model.config.item_count
    worst = 0.0
    for B, length, k in CORNERS:
        L = longest if length is None else length
        feeds = random_feeds(ranker, B, L, min(k, V), rng)
        right = define(ranker.model, feeds)
        distance = difference(right, session.run(OUTPUTS, feeds), feeds)
        worst = max(worst, distance)
        if not distance <= tolerance:  # NaN too
            raise ExportError(
                f"{path}: differs from the trained model by {distance:.3g} for {B} customers with "
                f"{L} tokens; {tolerance:g} is allowed"
            )
    return worst


def check_golden(directory: Path) -> None:
    """The graph gives the golden outputs, as serving will demand; raises ExportError."""
    with np.load(directory / "golden.npz", allow_pickle=False) as golden:
        feeds = {name: golden[name] for name in INPUTS}
        expected = tuple(golden[name] for name in OUTPUTS)
        tolerance = tolerance_of(golden)
    given = open_graph(directory / GRAPH).run(OUTPUTS, feeds)
    distance = difference(expected, tuple(given), feeds)
    if not distance <= tolerance:
        raise ExportError(
            f"{directory / GRAPH}: differs from the trained model by {distance:.3g} on real "
            f"histories; {tolerance:g} is allowed"
        )


def difference(some: Outputs, others: Outputs, feeds: Feeds) -> float:
    """The largest difference of a probability; items of the same score may change places."""
    weight_B1T = feeds["weight_BT"][:, None]
    score_BK, other_BK = ((each[2] * weight_B1T).sum(-1) for each in (some, others))
    same_BK = some[1] == others[1]
    apart = (some[0] - others[0], score_BK - other_BK, (some[2] - others[2])[same_BK])
    return max(float(np.abs(each).max(initial=0)) for each in apart)


def run_model(ranker: Ranker, feeds: Feeds) -> Outputs:
    """What the graph gives."""
    return tuple(open_graph(ranker.graph(), threads=1).run(OUTPUTS, feeds))


def random_feeds(ranker: Ranker, B: int, L: int, k: int, rng: np.random.Generator) -> Feeds:
    """Histories of up to L tokens, with repeats; of a single customer exactly L."""
    config = ranker.model.config
    lengths = rng.integers(0, L + 1, B) if B > 1 else np.array([L])
    L = max(L, 1)
    sizes = np.array([FIRST_ITEM_ROW + config.item_count + FRESH - 1, *FIELD_SIZES.values()])
    tokens_BLF = rng.integers(0, sizes, (B, L, TOKEN_FIELDS), np.int32)
    tokens_BLF[..., TYPE] = rng.integers(1, FIELD_SIZES[TYPE], (B, L))
    again_BL = rng.random((B, L)) < 0.5
    tokens_BLF[..., ITEM] = np.where(again_BL, tokens_BLF[:, :1, ITEM], tokens_BLF[..., ITEM])
    for row, length in enumerate(lengths):
        tokens_BLF[row, : L - length] = 0
    context_BC = rng.integers(0, [FIELD_SIZES[CHANNEL], FIELD_SIZES[GAP]], (B, 2), np.int32)
    eligible_EV = rng.random((2, config.item_count + FRESH)) >= BARRED
    mask_B = rng.integers(0, 2, B)
    weight_BT = rng.random((B, config.type_count), np.float32)
    fresh_NZ = rng.normal(0, FRESH_STD, (FRESH, config.width + 1)).astype(np.float32)
    fresh_NZ[-1, -1], eligible_EV[:, -1] = ABSENT, False
    asked = np.array(k, np.int64)
    values = (tokens_BLF, context_BC, weight_BT, eligible_EV, mask_B, fresh_NZ, asked)
    return dict(zip(INPUTS, values, strict=True))
