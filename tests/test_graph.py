"""What is written node by node: few nodes, and each of them runs on a GPU too."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from features.artefact import FLOAT16, FLOAT32
from tests.test_ranker import new_model
from training.export.export import open_graph
from training.export.graph import FLOAT, Graph
from training.export.ranker import Ranker

F, D, B, H = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.BOOL, TensorProto.FLOAT16
I32, I64 = TensorProto.INT32, TensorProto.INT64
NUMBERS = {F, D, I32, I64}
ANY = NUMBERS | {B, H}
ON_CUDA = {
    "Add": NUMBERS, "And": {B}, "Cast": ANY, "Concat": ANY, "CumSum": NUMBERS, "Div": NUMBERS,
    "Equal": ANY, "Exp": {F, D}, "Gather": ANY, "GatherElements": ANY, "Gelu": {F, D},
    "Gemm": {F, D}, "GreaterOrEqual": NUMBERS, "Less": NUMBERS, "Log": {F, D}, "MatMul": {F, D, H},
    "Max": NUMBERS, "Min": NUMBERS, "Mul": NUMBERS, "RMSNormalization": {F, D},
    "ReduceMax": NUMBERS, "ReduceSum": NUMBERS, "Reshape": ANY, "ScatterElements": ANY,
    "Shape": ANY, "Slice": ANY, "Softmax": {F, D}, "Split": ANY, "Squeeze": ANY, "Sub": NUMBERS,
    "TopK": NUMBERS, "Transpose": ANY, "Unsqueeze": ANY, "Where": ANY,
}  # fmt: skip
"""Operators of opset 23 that onnxruntime's CUDAExecutionProvider has kernels for, and of what types
their inputs may be: docs/OperatorKernels.md of microsoft/onnxruntime."""


@pytest.mark.parametrize("precision", [FLOAT32, FLOAT16])
@pytest.mark.parametrize(("tile", "reach"), [(None, 50), (20, 50), (None, 0)])
def test_every_node_can_run_on_cuda(tile: int | None, reach: int, precision: str) -> None:
    ranker = Ranker(new_model(reach), tile=tile, precision=precision)
    written = onnx.shape_inference.infer_shapes(ranker.graph().model_proto)
    graph = written.graph
    assert [(each.domain, each.version) for each in written.opset_import] == [("", 23)]
    values = [*graph.input, *graph.output, *graph.value_info]
    types = {each.name: each.type.tensor_type.elem_type for each in values}
    types |= {each.name: each.data_type for each in graph.initializer}
    for node in graph.node:
        assert {types[each] for each in node.input} <= ON_CUDA[node.op_type], node


def test_a_batch_runs_few_nodes(tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(_bytes(Ranker(new_model())), options, ["CPUExecutionProvider"])
    nodes = onnx.load(tmp_path / "optimized.onnx").graph.node
    blocks = sum(node.op_type == "Softmax" for node in nodes) - 1  # one is for intents
    # 150 in onnxruntime 1.31, and 21 for each block but the last; 10 for other versions.
    assert len(nodes) <= 150 + 21 * (blocks - 1) + 10


def _bytes(ranker: Ranker) -> bytes:
    content: bytes = ranker.graph().model_proto.SerializeToString()
    return content


def test_a_constant_is_kept_once() -> None:
    g = Graph()
    assert g.value([1, 2]) == g.value(np.array([1, 2])) != g.value([1, 3])
    doubled = g.Mul(g.Add("x", 1.0), 2.0)
    g.Add(doubled, 1.0, outputs=["y"])
    model = g.model({"x": (FLOAT, ["B"])}, {"y": (FLOAT, ["B"])})
    session = onnxruntime.InferenceSession(model.model_proto.SerializeToString())
    assert session.run(None, {"x": np.array([3, 4], np.float32)})[0].tolist() == [9, 11]


def test_what_protobuf_cannot_hold_stands_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.export.graph.LARGE", 16)
    g = Graph()
    g.Add("x", np.arange(5, dtype=np.float32), outputs=["y"])
    written = g.model({"x": (FLOAT, [1])}, {"y": (FLOAT, [5])})
    written.save(tmp_path / "model.onnx")
    assert {each.name for each in tmp_path.iterdir()} == {"model.onnx", "constant_0.npy"}
    for graph in (written, tmp_path / "model.onnx"):
        (y,) = open_graph(graph).run(None, {"x": np.ones(1, np.float32)})
        assert y.tolist() == [1, 2, 3, 4, 5]
