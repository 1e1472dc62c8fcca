"""A session with its inputs and outputs in buffers on the device, of a few fixed shapes.

Runs are padded to the next shape with empty histories and with masks that nobody has, and cut
again: they mean what plain runs mean. No input that has not changed is sent again, which counts
for masks and fresh items. On CUDA the runs of a shape are captured as a graph once, and replayed.

A captured graph cannot wait for a number from outside, so k becomes a constant: a session for each
of K_STEPS, and each holds the item matrix. Copies do not overlap with runs, as onnxruntime's Python
API makes no streams; one made elsewhere would need torch or cupy.

B customers  L tokens  E masks  V items, fresh ones included  N fresh items  K ranked  T types
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from features.artefact import INPUTS
from serving.model.device import Session

K_STEPS = (48, 144)  # the usual 10 with 32 excluded; the most that a call may ask for, with these
LEAST_LENGTH = 8
NO_CAPTURE = "-1"

Feeds = Mapping[str, np.ndarray]
Outputs = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a run is padded to."""

    B: int
    L: int
    E: int
    V: int
    N: int
    k: int


class BoundSession:
    """Sessions that answer as one; run() may be called from any thread, one at a time."""

    def __init__(
        self, open_session: Callable[[int], Session], *, max_length: int, device: str = "cuda"
    ) -> None:
        """`open_session` gives a session whose k is constant."""
        self._session_by_k = {k: open_session(k) for k in K_STEPS}
        self._max_length, self._device = max_length, device
        self._buffers: dict[tuple[str, tuple[int, ...]], _Buffer] = {}
        self._bound: dict[Shape, _Bound] = {}
        # onnxruntime keeps captured graphs by thread: all runs are this one's.
        self._thread = ThreadPoolExecutor(1, "device")

    def run(self, feeds: Feeds) -> Outputs:
        """What a plain session gives."""
        return self._thread.submit(self._run, feeds).result()

    def shapes(self, *, max_batch: int) -> list[tuple[int, int, int]]:
        """Customers, tokens and k of the runs that warm up every shape with one mask."""
        last = _step(max_batch).bit_length()
        lengths = {self._length(each) for each in range(self._max_length + 1)}
        return [(1 << n, L, k) for n in range(last) for L in sorted(lengths) for k in K_STEPS]

    def _run(self, feeds: Feeds) -> Outputs:
        (B, L), k = feeds["tokens_BLF"].shape[:2], int(feeds["k"])
        shape = self._shape(feeds)
        bound = self._bound.get(shape) or self._bind(shape, feeds)
        for name, buffer in bound.inputs.items():
            first = shape.L - L if name == "tokens_BLF" else 0
            buffer.put(feeds[name], first)
        self._session_by_k[shape.k].run_with_iobinding(bound.binding, bound.options)
        intent_BU, item_BK, joint_BKT = (each.numpy() for each in bound.outputs)
        return intent_BU[:B].copy(), item_BK[:B, :k].copy(), joint_BKT[:B, :k].copy()

    def _shape(self, feeds: Feeds) -> Shape:
        (B, L), (E, V) = feeds["tokens_BLF"].shape[:2], feeds["eligible_EV"].shape
        k = next(each for each in K_STEPS if each >= feeds["k"])
        N = len(feeds["fresh_ND1"])
        return Shape(_step(B), self._length(L), _step(E), V, N, k)

    def _length(self, L: int) -> int:
        return max(L, min(max(_step(L), LEAST_LENGTH), self._max_length))

    def _bind(self, shape: Shape, feeds: Feeds) -> "_Bound":
        binding = self._session_by_k[shape.k].io_binding()
        inputs = {name: self._buffer(name, shape, feeds) for name in INPUTS if name != "k"}
        for name, buffer in inputs.items():
            binding.bind_ortvalue_input(name, buffer.value)
        K, T = min(shape.k, shape.V), feeds["weight_BT"].shape[1]
        outputs = {
            "intent_BU": self._value((shape.B, T + 1), np.float32),
            "item_BK": self._value((shape.B, K), np.int64),
            "joint_BKT": self._value((shape.B, K, T), np.float32),
        }
        for name, value in outputs.items():
            binding.bind_ortvalue_output(name, value)
        # Several masks in a batch are seldom, and there are many numbers of them.
        graph = str(len(self._bound) + 1) if shape.E == 1 else NO_CAPTURE
        options = onnxruntime.RunOptions()
        options.add_run_config_entry("gpu_graph_id", graph)
        bound = _Bound(binding, options, inputs, list(outputs.values()))
        self._bound[shape] = bound
        return bound

    def _buffer(self, name: str, shape: Shape, feeds: Feeds) -> "_Buffer":
        """The one of this name and size, whatever else it is bound together with."""
        given, axes = feeds[name], name.partition("_")[2]
        padded = {"B": shape.B, "L": shape.L, "E": shape.E}
        size = tuple(padded.get(axes[at], count) for at, count in enumerate(given.shape))
        if (name, size) not in self._buffers:
            self._buffers[name, size] = _Buffer(size, given.dtype, self._device)
        return self._buffers[name, size]

    def _value(self, shape: tuple[int, ...], dtype: type) -> Any:
        make = onnxruntime.OrtValue.ortvalue_from_shape_and_type
        return make(shape, dtype, self._device, 0)


@dataclass(frozen=True, slots=True)
class _Bound:
    """What belongs to a shape; its memory must stay where it is, as the graph knows it."""

    binding: onnxruntime.IOBinding
    options: onnxruntime.RunOptions
    inputs: dict[str, "_Buffer"]
    outputs: list[Any]


class _Buffer:
    """An input on the device, and here what it holds."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], device: str) -> None:
        self._here = np.zeros(shape, dtype)
        self._given = self._here  # the part of it that is no padding
        self._first = 0
        self.value = onnxruntime.OrtValue.ortvalue_from_numpy(self._here, device, 0)

    def put(self, given: np.ndarray, first: int) -> None:
        """Sends what has changed; along the second axis it stands from `first` on."""
        same = given.shape == self._given.shape and first == self._first
        if same and np.array_equal(given, self._given):
            return
        self._here[:] = 0
        self._given, self._first = self._here[: len(given)], first
        if given.ndim > 1:
            self._given = self._given[:, first : first + given.shape[1]]
        self._given[:] = given
        self.value.update_inplace(self._here)


def with_constant_k(path: Path, k: int) -> bytes:
    """The graph of a model, without the input k."""
    import onnx  # only where there is a GPU

    model = onnx.load(path, load_external_data=False)
    inputs = model.graph.input
    inputs.remove(next(each for each in inputs if each.name == "k"))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(k, np.int64), "k"))
    content: bytes = model.SerializeToString()
    return content


def _step(count: int) -> int:
    """The next power of two."""
    return 1 << max(count - 1, 0).bit_length()
