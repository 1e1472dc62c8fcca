"""Raw columns as texts: the form that every column has, and in which most are read on."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True, slots=True)
class Converted:
    """A column of the schema; where `wrong`, the value could not be converted and is null."""

    values: pa.Array
    wrong: np.ndarray
    rule: str

    def only(self, having: pa.Array) -> "Converted":
        """The same, but null and right in the rows that do not have the field."""
        nothing = pa.scalar(None, self.values.type)
        values = pc.if_else(having, self.values, nothing)
        return Converted(values, self.wrong & true_where(having), self.rule)


def as_text(column: pa.Array) -> Converted:
    """Any column as texts: whole numbers without a decimal point, empty ones null."""
    kind = column.type
    wrong = np.zeros(len(column), bool)
    if pa.types.is_floating(kind):
        text = _float_text(column)
    elif _is_text(kind):
        text, wrong = _decoded(column)
    elif pa.types.is_nested(kind) or pa.types.is_duration(kind):
        values = column.to_pylist()
        text = pa.array([None if each is None else str(each) for each in values], pa.string())
    else:
        text = column.cast(pa.string())
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    return Converted(text, wrong, "must be UTF-8")


def by_distinct(texts: pa.Array, name: Callable[[str | None], str | None]) -> pa.Array:
    """Applies a function to each distinct text, null among them."""
    encoded = pc.dictionary_encode(texts, null_encoding="encode")
    names = [name(each) for each in encoded.dictionary.to_pylist()]
    return pa.array(names, pa.string()).take(encoded.indices)


def showable(values: pa.Array) -> list[object]:
    """Values as they can be shown even if they are no UTF-8, or times beyond any calendar."""
    if _is_text(values.type):
        given = values.cast(pa.binary()).to_pylist()
        return [each.decode(errors="backslashreplace") if each else each for each in given]
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.int64())
    plain: list[object] = values.to_pylist()
    return plain


def true_where(column: pa.Array) -> np.ndarray:
    """Which rows of a column without nulls are true."""
    flags: np.ndarray = column.to_numpy(zero_copy_only=False)
    return flags.astype(bool)


def _is_text(kind: pa.DataType) -> bool:
    return (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


def _float_text(column: pa.Array) -> pa.Array:
    whole = pc.equal(column, pc.trunc(column))
    text = pc.if_else(
        whole, column.cast(pa.int64(), safe=False).cast(pa.string()), column.cast(pa.string())
    )
    return pc.if_else(pc.is_nan(column), pa.scalar(None, pa.string()), text)


def _decoded(column: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Texts, and where there is none; Parquet promises UTF-8 but nobody checks."""
    try:
        text = column.cast(pa.binary()).cast(pa.string())  # from binary, UTF-8 is checked
        return text, np.zeros(len(column), bool)
    except pa.ArrowInvalid:
        texts = [_utf8(each) for each in column.cast(pa.binary()).to_pylist()]
    text = pa.array(texts, pa.string())
    return text, true_where(pc.and_(pc.is_valid(column), pc.is_null(text)))


def _utf8(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None
