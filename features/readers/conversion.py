"""How raw columns become columns of the schema; what cannot be converted is told, with its rule."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.interaction import shown
from features.readers.mapping import Origin
from features.readers.quantities import as_number
from features.readers.raw_rows import RawRows
from features.readers.texts import Converted, as_text, by_distinct, showable
from features.readers.times import as_time
from features.rejects import Reject


class Conversion:
    """Raw rows being converted, column by column; notes which rows could not be."""

    def __init__(self, raw: RawRows) -> None:
        self.raw = raw
        self._wrong = np.zeros(len(raw.table), bool)
        self.rejects: list[Reject] = []

    def column(
        self, name: str, origin: Origin, kind: pa.DataType, *, types: pa.Array | None = None
    ) -> pa.Array:
        """The field's values; `types` are those of the rows, for fields that only some have."""
        given = self._given(origin)
        converted = convert(given, kind, origin)
        if origin.types and types is not None:
            converted = converted.only(pc.is_in(types, pa.array(origin.types)))
        self._wrong |= converted.wrong
        places = np.flatnonzero(converted.wrong)
        values = showable(given.take(places))
        self.rejects.extend(
            Reject(self.raw.file, int(row), name, shown(value), converted.rule)
            for row, value in zip(self.raw.rows[places], values, strict=True)
        )
        return converted.values

    def texts(self) -> pa.Table:
        """All columns as texts, whatever they mean."""
        columns = [as_text(each.combine_chunks()).values for each in self.raw.table.columns]
        return pa.Table.from_arrays(columns, names=self.raw.table.column_names)

    @property
    def right(self) -> np.ndarray:
        """Which rows could be converted so far."""
        return ~self._wrong

    def _given(self, origin: Origin) -> pa.Array:
        """The column as an array; of JSON, a name that no row of the chunk has is null."""
        table = self.raw.table
        if origin.column is None:
            return pa.repeat(pa.scalar(origin.constant, pa.string()), len(table))
        if origin.column not in table.column_names:
            return pa.nulls(len(table), pa.string())
        return table[origin.column].combine_chunks()


def convert(column: pa.Array, kind: pa.DataType, origin: Origin) -> Converted:
    """A raw column as the kind of a field; empty texts are missing values."""
    if pa.types.is_timestamp(kind):
        return as_time(column, origin)
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return as_number(column, kind)
    return _named(column, origin)


def _named(column: pa.Array, origin: Origin) -> Converted:
    text = as_text(column)
    if not origin.values:
        return text
    named = by_distinct(text.values, lambda each: origin.values.get(each or "", each))
    return Converted(named, text.wrong, text.rule)
