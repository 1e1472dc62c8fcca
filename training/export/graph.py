"""Writing an ONNX graph node by node: only what is written runs.

The graph that serves is written by hand, as small batches cost what their nodes cost: an exporter
adds nodes that ask for shapes, move axes and copy, and takes 20 s to do so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.model_container import make_large_tensor_proto

from features.artefact import TABLE

OPSET = 23  # the first that knows RMS normalization
FLOAT, HALF = int(TensorProto.FLOAT), int(TensorProto.FLOAT16)
INT32, INT64, BOOL = (
    int(each) for each in (TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL)
)
END = int(np.iinfo(np.int64).max)  # of an axis, for Slice

LARGE = 1 << 29  # bytes of a constant: protobuf holds 2 GiB of all, so these stand in files beside

Value: TypeAlias = str  # the name of what a node gives
Given: TypeAlias = Value | np.ndarray | np.generic | torch.Tensor | Sequence[int] | int | float
Kind: TypeAlias = tuple[int, Sequence[str | int]]  # element type and axes


@dataclass(frozen=True, slots=True)
class Written:
    """A graph, and those of its constants that are too large for its file."""

    model_proto: onnx.ModelProto
    tables: Mapping[str, np.ndarray]

    def save(self, path: Path) -> None:
        """Each table has a file of its own beside the graph's, in which numpy finds its shape."""
        path.write_bytes(self.model_proto.SerializeToString())
        for name, table in self.tables.items():
            beside = path.with_name(f"{name}{TABLE}")
            beside.unlink(missing_ok=True)  # who has mapped another one keeps it
            np.save(beside, table, allow_pickle=False)


class Graph:
    """A graph that grows: g.MatMul(a, b) adds a node and names what it gives."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], onnx.TensorProto] = {}
        self._large: dict[str, np.ndarray] = {}

    def __getattr__(self, op: str) -> Callable[..., Any]:
        if not op[0].isupper():
            raise AttributeError(op)
        return partial(self._add, op)

    def _add(
        self, op: str, *inputs: Given, outputs: int | Sequence[str] = 1, **attributes: Any
    ) -> Any:
        """The name of the output; a list where there are several."""
        name = f"{op}_{len(self._nodes)}"
        if isinstance(outputs, int):
            outputs = [f"{name}_{at}" for at in range(outputs)]
        values = [self.value(each) for each in inputs]
        self._nodes.append(helper.make_node(op, values, outputs, name, **attributes))
        return outputs[0] if len(outputs) == 1 else outputs

    def value(self, given: Given) -> Value:
        """What is not a value yet becomes a constant; whole numbers are int64, others float32."""
        if isinstance(given, Value):
            return given
        array = _array(given)
        key = array.dtype.str, array.shape, sha256(array.data).digest()
        if key not in self._constants:
            self._constants[key] = self._constant(f"constant_{len(self._constants)}", array)
        return self._constants[key].name

    def _constant(self, name: str, array: np.ndarray) -> onnx.TensorProto:
        if array.nbytes < LARGE:
            return numpy_helper.from_array(array, name)
        self._large[name] = array
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        return make_large_tensor_proto(f"{name}{TABLE}", name, kind, array.shape)

    def model(self, inputs: Mapping[str, Kind], outputs: Mapping[str, Kind]) -> Written:
        """All of it, between these inputs and outputs; save() writes it."""
        graph = helper.make_graph(
            self._nodes,
            "interplay",
            [_info(*each) for each in inputs.items()],
            [_info(*each) for each in outputs.items()],
            list(self._constants.values()),
        )
        opsets = [helper.make_opsetid("", OPSET)]
        version = helper.find_min_ir_version_for(opsets)
        model = helper.make_model(graph, opset_imports=opsets, ir_version=version)
        return Written(model, dict(self._large))


def _array(given: Given) -> np.ndarray:
    if isinstance(given, torch.Tensor):
        return given.detach().contiguous().numpy()
    return np.asarray(given, np.float32 if isinstance(given, float) else None, order="C")


def _info(name: str, kind: Kind) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, *kind)


def int32(number: int) -> np.ndarray:
    """A scalar beside rows and places of items."""
    return np.array(number, np.int32)
