"""How raw columns become columns of the schema; what cannot be converted is told, with its rule."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.interaction import SCHEMA, shown
from features.readers.mapping import UNITS, Origin
from features.readers.raw_rows import RawRows
from features.rejects import Reject

TIME = SCHEMA.field("event_time").type
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
FIRST_TIME_US, LAST_TIME_US = -62_135_596_800_000_000, 253_402_300_799_000_000  # years 1, 9999
LARGEST_INTEGER = 2**31 - 1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Converted:
    """A column of the schema; where `wrong`, the value could not be converted and is null."""

    values: pa.Array
    wrong: np.ndarray
    rule: str = ""


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
        if origin.types and types is not None:
            having = pc.is_in(types, pa.array(origin.types))
            given = pc.if_else(having, given, pa.scalar(None, given.type))
        converted = convert(given, kind, origin)
        self._wrong |= converted.wrong
        places = np.flatnonzero(converted.wrong)
        values = given.take(places).to_pylist()
        self.rejects.extend(
            Reject(self.raw.file, int(row), name, shown(value), converted.rule)
            for row, value in zip(self.raw.rows[places], values, strict=True)
        )
        return converted.values

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
        column = table[origin.column].combine_chunks()
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        return column


def convert(column: pa.Array, kind: pa.DataType, origin: Origin) -> Converted:
    """A raw column as the kind of a field; empty texts are missing values."""
    if pa.types.is_timestamp(kind):
        return _time(column, origin)
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return _number(column, kind)
    return _text(column, origin)


def as_text(column: pa.Array) -> pa.Array:
    """Any column as texts: whole numbers without a decimal point, empty ones null."""
    text = column.cast(pa.string())
    if pa.types.is_floating(column.type):
        whole = pc.equal(column, pc.trunc(column))
        text = pc.if_else(whole, column.cast(pa.int64(), safe=False).cast(pa.string()), text)
        text = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.string()), text)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def by_distinct(texts: pa.Array, name: Callable[[str | None], str | None]) -> pa.Array:
    """Applies a function to each distinct text, null among them."""
    encoded = pc.dictionary_encode(texts, null_encoding="encode")
    names = [name(each) for each in encoded.dictionary.to_pylist()]
    return pa.array(names, pa.string()).take(encoded.indices)


def _text(column: pa.Array, origin: Origin) -> Converted:
    text = as_text(column)
    if origin.values:
        text = by_distinct(text, lambda each: origin.values.get(each or "", each))
    return Converted(text, np.zeros(len(text), bool))


def _number(column: pa.Array, kind: pa.DataType) -> Converted:
    numbers, wrong = _numbers(column)
    if not pa.types.is_integer(kind):
        return Converted(numbers, wrong, "must be a number such as 12.5")
    whole = pc.and_(
        pc.equal(numbers, pc.trunc(numbers)), pc.less_equal(pc.abs(numbers), LARGEST_INTEGER)
    )
    wrong |= ~_true(pc.fill_null(whole, True))
    kept = pc.if_else(pa.array(wrong), pa.scalar(None, pa.float64()), numbers)
    return Converted(kept.cast(kind), wrong, "must be a whole number such as 3")


def _numbers(column: pa.Array) -> tuple[pa.Array, np.ndarray]:
    if not pa.types.is_string(column.type) and not pa.types.is_large_string(column.type):
        return column.cast(pa.float64()), np.zeros(len(column), bool)
    text = pc.utf8_trim_whitespace(as_text(column))
    plain = pc.match_substring_regex(text, NUMBER)
    numbers = pc.if_else(plain, text, pa.scalar(None, pa.string())).cast(pa.float64())
    return numbers, ~_true(pc.fill_null(plain, True))


def _time(column: pa.Array, origin: Origin) -> Converted:
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("us"))
    if pa.types.is_timestamp(column.type):
        return _timestamps(column, origin)
    if origin.unit:
        numbers, wrong = _numbers(column)
        moments = pc.multiply(numbers, UNITS[origin.unit])
        return _in_range(pc.round(moments), wrong, f"must be {origin.unit} since 1970")
    return _parsed(as_text(column), origin)


def _timestamps(column: pa.Array, origin: Origin) -> Converted:
    if column.type.tz is None:
        local = column.cast(pa.timestamp("us"))
        column = pc.assume_timezone(
            local, origin.zone, ambiguous="earliest", nonexistent="earliest"
        )
    moments = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    return _in_range(moments, np.zeros(len(column), bool), "must be a time")


def _in_range(moments: pa.Array, wrong: np.ndarray, rule: str) -> Converted:
    """Microseconds as times; those beyond the years 1 to 9999 cannot even be shown."""
    inside = pc.and_(
        pc.greater_equal(moments, pa.scalar(FIRST_TIME_US).cast(moments.type, safe=False)),
        pc.less_equal(moments, pa.scalar(LAST_TIME_US).cast(moments.type, safe=False)),
    )
    wrong = wrong | ~_true(pc.fill_null(inside, True))
    kept = pc.if_else(pa.array(wrong), pa.scalar(None, moments.type), moments)
    return Converted(kept.cast(pa.int64()).cast(TIME), wrong, rule)


def _parsed(text: pa.Array, origin: Origin) -> Converted:
    """Each distinct text is parsed once."""
    zone = ZoneInfo(origin.zone)
    read = _with_format(origin.format) if origin.format else datetime.fromisoformat
    encoded = text.dictionary_encode()
    moments = [_moment(each, read, zone) for each in encoded.dictionary.to_pylist()]
    values = pa.array(moments, TIME).take(encoded.indices)
    wrong = _true(pc.and_(pc.is_valid(text), pc.is_null(values)))
    form = f"of the form {origin.format}" if origin.format else "as in ISO 8601"
    example = datetime(2026, 11, 22, 10, 30).strftime(origin.format or "%Y-%m-%dT%H:%M")
    return Converted(values, wrong, f"must be a time {form}, such as {example}")


def _with_format(form: str) -> Callable[[str], datetime]:
    return lambda text: datetime.strptime(text, form)


def _moment(text: str, read: Callable[[str], datetime], zone: ZoneInfo) -> datetime | None:
    try:
        given = read(text.strip())
        aware = given if given.tzinfo else given.replace(tzinfo=zone)
        return aware.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _true(column: pa.Array) -> np.ndarray:
    flags: np.ndarray = column.to_numpy(zero_copy_only=False)
    return flags.astype(bool)
