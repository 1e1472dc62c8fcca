"""What the tensors of an ONNX file are: where they stand, and whether they are finite.

Serving has no library that reads ONNX files, onnxruntime opens whatever file a graph names, and
golden vectors do not reach every weight. So the file is walked as protobuf
(https://protobuf.dev/programming-guides/encoding) down to every tensor in it, by the numbers of
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from collections.abc import Iterator, Sequence
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import NamedTuple

import numpy as np

VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5  # wire types
INSIDE = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
"""Which fields of a message are messages that hold tensors."""
TYPE, FLOATS, NAME, RAW, DOUBLES, EXTERNAL_DATA, DATA_LOCATION = 2, 4, 8, 9, 10, 13, 14
"""Fields of a tensor."""
KINDS: dict[int, np.dtype] = {1: np.dtype("<f4"), 10: np.dtype("<f2"), 11: np.dtype("<f8")}
"""By the types of a tensor that hold fractions, what stands in RAW."""
UNPACKED = {FLOATS: KINDS[1], DOUBLES: KINDS[11]}
KEY, VALUE = 1, 2  # of an entry of EXTERNAL_DATA
LOCATION = b"location"


class Outside(NamedTuple):
    """A tensor, and the file that its values stand in."""

    tensor: str
    file: str


class Field(NamedTuple):
    """A field of a message, and where its content begins and ends."""

    number: int
    kind: int
    start: int
    end: int


def tensors_outside(path: Path) -> list[Outside]:
    """All of them; raises ValueError for what is no ONNX file."""
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        tensors = _tensors(data, "model", 0, len(data))
        return [outside for fields in tensors for outside in _outside(data, fields)]


def tensors_not_finite(path: Path) -> list[str]:
    """Those in the file that hold NaN or infinity; raises ValueError for what is no ONNX file."""
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        tensors = _tensors(data, "model", 0, len(data))
        return [_name(data, fields) for fields in tensors if not _is_finite(data, fields)]


def _tensors(data: mmap, message: str, start: int, end: int) -> Iterator[list[Field]]:
    """The fields of every tensor, wherever it is declared."""
    for field in _fields(data, start, end):
        inner = INSIDE[message].get(field.number)
        if inner is None or field.kind != BYTES:
            continue
        if inner == "tensor":
            yield [*_fields(data, field.start, field.end)]
        else:
            yield from _tensors(data, inner, field.start, field.end)


def _name(data: mmap, tensor: Sequence[Field]) -> str:
    name = b"".join(data[each.start : each.end] for each in tensor if each.number == NAME)
    return str(name, errors="replace")


def _is_finite(data: mmap, tensor: Sequence[Field]) -> bool:
    types = [data[each.start] for each in tensor if each.number == TYPE]
    kinds = dict(UNPACKED)
    if types and types[-1] in KINDS:
        kinds[RAW] = KINDS[types[-1]]
    return all(
        np.isfinite(np.frombuffer(data[each.start : each.end], kinds[each.number])).all()
        for each in tensor
        if each.number in kinds
    )


def _outside(data: mmap, fields: Sequence[Field]) -> Iterator[Outside]:
    """It stands outside if it says so, or names a file at all."""
    files = [_location(data, each) for each in fields if each.number == EXTERNAL_DATA]
    said = any(each.number == DATA_LOCATION and data[each.start] for each in fields)
    for file in [each for each in files if each] or [b""] * said:
        yield Outside(_name(data, fields), str(file, errors="replace"))


def _location(data: mmap, entry: Field) -> bytes:
    """The file that an entry names; empty where it says something else."""
    texts = {
        each.number: data[each.start : each.end] for each in _fields(data, entry.start, entry.end)
    }
    return texts.get(VALUE, b"") if texts.get(KEY) == LOCATION else b""


def _fields(data: mmap, start: int, end: int) -> Iterator[Field]:
    at = start
    while at < end:
        tag, at = _varint(data, at, end)
        begin, kind = at, tag & 7
        if kind == VARINT:
            _, at = _varint(data, at, end)
        elif kind == BYTES:
            size, begin = _varint(data, at, end)
            at = begin + size
        elif kind in (FIXED_64, FIXED_32):
            at += 8 if kind == FIXED_64 else 4
        else:
            raise ValueError(f"wire type {kind} at byte {begin}: this is no ONNX file")
        if at > end:
            raise ValueError(f"a field at byte {begin} ends beyond its message: no ONNX file")
        yield Field(tag >> 3, kind, begin, at)


def _varint(data: mmap, at: int, end: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value, shift = 0, 0
    while at < end:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise ValueError(f"a number at byte {at} does not end: this is no ONNX file")
