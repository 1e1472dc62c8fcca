"""Tables: constants that stand beside the graph are checked; no other file is ever opened."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.model_container import make_large_tensor_proto

from features.artefact import (
    INPUTS,
    ArtefactError,
    load_tables,
    verify,
    write_manifest,
)
from features.graph_file import tensors_not_finite, tensors_outside
from serving.model.device import open_on_cpu
from serving.model.scorer import Scorer
from tests.sequences import VOCABULARY
from tests.test_export import artefact, asking, ranker, several  # noqa: F401
from training.export.export import write_graph
from training.export.ranker import Ranker

ANYWHERE = "../../secrets.bin"
OUTSIDE = make_large_tensor_proto(ANYWHERE, "w", TensorProto.FLOAT, (5,))
INSIDE = numpy_helper.from_array(np.arange(5, dtype=np.float32), "w")


def model(
    initializers: list[onnx.TensorProto] | None = None,
    nodes: list[onnx.NodeProto] | None = None,
    functions: list[onnx.FunctionProto] | None = None,
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes or [], "g", [], [], initializers or [])
    opsets = [helper.make_opsetid("", 23)]
    return helper.make_model(graph, opset_imports=opsets, functions=functions or [])


def constant(value: onnx.TensorProto) -> onnx.NodeProto:
    return helper.make_node("Constant", [], ["c"], value=value)


def branch() -> onnx.NodeProto:
    inner = helper.make_graph([constant(OUTSIDE)], "then", [], [])
    return helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)


def function() -> onnx.FunctionProto:
    opsets = [helper.make_opsetid("", 23)]
    return helper.make_function("ours", "f", [], ["c"], [constant(OUTSIDE)], opsets)


def sparse() -> onnx.ModelProto:
    given = model()
    whole = helper.make_sparse_tensor(OUTSIDE, helper.make_tensor("i", 7, [5], range(5)), [9])
    given.graph.sparse_initializer.append(whole)
    return given


def found(given: onnx.ModelProto, folder: Path) -> set[tuple[str, str]]:
    path = folder / "model.onnx"
    path.write_bytes(given.SerializeToString())
    return {*tensors_outside(path)}


@pytest.mark.parametrize(
    "given",
    [
        model([INSIDE, OUTSIDE]),
        model(nodes=[constant(INSIDE), constant(OUTSIDE)]),
        model(nodes=[branch()]),
        model(functions=[function()]),
        sparse(),
    ],
)
def test_a_tensor_outside_is_found_wherever_it_is_declared(
    given: onnx.ModelProto, tmp_path: Path
) -> None:
    assert found(given, tmp_path) == {("w", ANYWHERE)}


def test_a_graph_that_holds_all_has_none_outside(tmp_path: Path) -> None:
    assert found(model([INSIDE], [constant(INSIDE)]), tmp_path) == set()


def test_a_tensor_that_names_no_file_is_outside_all_the_same(tmp_path: Path) -> None:
    silent = onnx.TensorProto(name="w", data_location=TensorProto.EXTERNAL)
    assert found(model([silent]), tmp_path) == {("w", "")}


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE])
@pytest.mark.parametrize("raw", [True, False])
def test_a_weight_that_is_no_number_is_found(tmp_path: Path, kind: int, raw: bool) -> None:
    values = np.array([1, np.nan, 3], helper.tensor_dtype_to_np_dtype(kind))
    sound = [helper.make_tensor("w", kind, [3], np.ones_like(values)), INSIDE]
    given = values.tobytes() if raw else values
    broken = helper.make_tensor("v", kind, [3], given, raw=raw)
    assert not_finite(model(sound), tmp_path) == []
    if raw or kind != TensorProto.FLOAT16:  # whose numbers else stand as integers
        assert not_finite(model(sound, [constant(broken)]), tmp_path) == ["v"]


def not_finite(given: onnx.ModelProto, folder: Path) -> list[str]:
    path = folder / "model.onnx"
    path.write_bytes(given.SerializeToString())
    return tensors_not_finite(path)


@pytest.mark.parametrize("content", [b"", b"\x3a\xff\x01", b"\x3a", b"\x0b", b"\xff" * 11])
def test_what_is_no_graph_is_no_graph(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ArtefactError, match=r"model\.onnx cannot be used"):
        load_tables(path)


@pytest.mark.parametrize("place", [ANYWHERE, "/etc/hostname", "model.onnx.data", "w/w.npy"])
def test_a_graph_that_names_another_file_is_refused(tmp_path: Path, place: str) -> None:
    graph = model([make_large_tensor_proto(place, "w", TensorProto.FLOAT, (5,))])
    (tmp_path / "model.onnx").write_bytes(graph.SerializeToString())
    with pytest.raises(ArtefactError, match=f"in the file '{place}': this is refused"):
        load_tables(tmp_path / "model.onnx")


@pytest.fixture
def large(
    artefact: Path,  # noqa: F811
    ranker: Ranker,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Path:
    """The same artefact, as if its graph were too large for one file."""
    monkeypatch.setattr("training.export.graph.LARGE", 256)
    directory = tmp_path / "large"
    directory.mkdir()
    for each in artefact.iterdir():
        if each.name != "model.onnx":
            (directory / each.name).write_bytes(each.read_bytes())
    write_graph(ranker, directory / "model.onnx")
    write_manifest(directory)
    return directory


def test_an_artefact_with_tables_serves(large: Path) -> None:
    digests = json.loads((large / "manifest.json").read_text())
    tables = load_tables(large / "model.onnx")
    assert {f"{name}.npy" for name in tables} < set(digests)
    assert Scorer(large, VOCABULARY, threads=1).provider == "CPUExecutionProvider"


def test_a_table_that_was_changed_or_left_out_is_refused(large: Path) -> None:
    path = min(large.glob("*.npy"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtefactError, match=f"{path.name} does not match its sha256"):
        verify(large, VOCABULARY)
    path.unlink()
    with pytest.raises(ArtefactError, match=f"{path.name} is missing"):
        verify(large, VOCABULARY)


def test_a_table_of_another_shape_or_of_objects_is_refused(large: Path) -> None:
    name, table = next(iter(load_tables(large / "model.onnx").items()))
    for wrong, message in (
        (table[..., :-1], "cannot be loaded"),
        (table.astype(np.float64), "cannot be loaded"),
        (table.astype(object), "Python objects in dtype"),
    ):
        (large / f"{name}.npy").unlink()
        np.save(large / f"{name}.npy", wrong)
        write_manifest(large)
        with pytest.raises(ArtefactError, match=message):
            Scorer(large, VOCABULARY, threads=1)


def test_a_table_with_a_weight_that_is_no_number_is_refused(large: Path) -> None:
    path = next(each for each in large.glob("*.npy") if np.load(each).dtype.kind == "f")
    table = np.load(path)
    table.flat[-1] = np.nan
    np.save(path, table)
    write_manifest(large)
    with pytest.raises(ArtefactError, match=f"'{path.stem}' holds what is no finite number"):
        verify(large, VOCABULARY)


def test_onnxruntime_opens_no_table_by_itself(large: Path) -> None:
    tables = load_tables(large / "model.onnx")
    for each in large.glob("*.npy"):
        each.unlink()
    session = open_on_cpu(large / "model.onnx", threads=1, tables=tables)
    with np.load(large / "golden.npz") as golden:
        (intent_BU,) = session.run(["intent_BU"], {name: golden[name] for name in INPUTS})
        np.testing.assert_allclose(intent_BU, golden["intent_BU"], rtol=0, atol=1e-4)
