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
FIRST_TIME_US, LAST_TIME_US = -62.1e15, 253.3e15  # in the years 2 and 9996
NO_NUMBER = pa.scalar(None, pa.float64())
LARGEST_INTEGER = 2**31 - 1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
        return Converted(values, self.wrong & _true(having), self.rule)


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
        values = _showable(given.take(places))
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
        return _time(column, origin)
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return _number(column, kind)
    return _text(column, origin)


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
    return text, _true(pc.and_(pc.is_valid(column), pc.is_null(text)))


def _showable(values: pa.Array) -> list[object]:
    """Values as they can be shown even if they are no UTF-8, or times beyond any calendar."""
    if _is_text(values.type):
        given = values.cast(pa.binary()).to_pylist()
        return [each.decode(errors="backslashreplace") if each else each for each in given]
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.int64())
    showable: list[object] = values.to_pylist()
    return showable


def _utf8(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def by_distinct(texts: pa.Array, name: Callable[[str | None], str | None]) -> pa.Array:
    """Applies a function to each distinct text, null among them."""
    encoded = pc.dictionary_encode(texts, null_encoding="encode")
    names = [name(each) for each in encoded.dictionary.to_pylist()]
    return pa.array(names, pa.string()).take(encoded.indices)


def _text(column: pa.Array, origin: Origin) -> Converted:
    text = as_text(column)
    if not origin.values:
        return text
    named = by_distinct(text.values, lambda each: origin.values.get(each or "", each))
    return Converted(named, text.wrong, text.rule)


def _number(column: pa.Array, kind: pa.DataType) -> Converted:
    numbers, wrong = _numbers(column)
    if not pa.types.is_integer(kind):
        return Converted(numbers, wrong, "must be a number such as 12.5")
    whole = pc.and_(
        pc.equal(numbers, pc.trunc(numbers)), pc.less_equal(pc.abs(numbers), LARGEST_INTEGER)
    )
    wrong = wrong | ~_true(pc.fill_null(whole, True))
    kept = pc.if_else(pa.array(wrong), pa.scalar(None, pa.float64()), numbers)
    return Converted(kept.cast(kind), wrong, "must be a whole number such as 3")


def _numbers(column: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Numbers, null where there is none, and where something else stands."""
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        return column.cast(pa.float64(), safe=False), np.zeros(len(column), bool)
    if pa.types.is_floating(kind):
        numbers = column.cast(pa.float64())
        missing = pc.is_nan(numbers)  # what data frames write for null
        return pc.if_else(missing, NO_NUMBER, numbers), np.zeros(len(column), bool)
    given = as_text(column)
    text = pc.utf8_trim_whitespace(given.values)
    plain = pc.match_substring_regex(text, NUMBER)
    numbers = pc.if_else(plain, text, pa.scalar(None, pa.string())).cast(pa.float64())
    return numbers, given.wrong | ~_true(pc.fill_null(plain, True))


def _time(column: pa.Array, origin: Origin) -> Converted:
    kind = column.type
    if pa.types.is_date(kind):
        column = column.cast(pa.timestamp("s"))
    if pa.types.is_timestamp(column.type):
        ticks, wrong = _numbers(column.cast(pa.int64()))
        times = _since_1970(ticks, wrong, column.type.unit)
        return times if column.type.tz else _in_zone(times, origin.zone)
    if origin.unit:
        return _since_1970(*_numbers(column), origin.unit)
    return _parsed(as_text(column), origin)


def _since_1970(numbers: pa.Array, wrong: np.ndarray, unit: str) -> Converted:
    """Times; what lies beyond any calendar is no time."""
    moments = pc.round(pc.multiply(numbers, UNITS[unit]))
    inside = pc.and_(pc.greater_equal(moments, FIRST_TIME_US), pc.less_equal(moments, LAST_TIME_US))
    wrong = wrong | ~_true(pc.fill_null(inside, True))
    kept = pc.if_else(pa.array(wrong), NO_NUMBER, moments)
    return Converted(kept.cast(pa.int64()).cast(TIME), wrong, f"must be a time, {unit} since 1970")


def _in_zone(times: Converted, zone: str) -> Converted:
    """The same reading of the clock in a zone."""
    clock = times.values.cast(pa.int64()).cast(pa.timestamp("us"))
    moments = pc.assume_timezone(clock, zone, ambiguous="earliest", nonexistent="earliest")
    return Converted(moments.cast(TIME), times.wrong, times.rule)


def _parsed(given: Converted, origin: Origin) -> Converted:
    """Each distinct text is parsed once."""
    zone, text = ZoneInfo(origin.zone), given.values
    read = _with_format(origin.format) if origin.format else datetime.fromisoformat
    encoded = text.dictionary_encode()
    moments = [_moment(each, read, zone) for each in encoded.dictionary.to_pylist()]
    values = pa.array(moments, TIME).take(encoded.indices)
    wrong = given.wrong | _true(pc.and_(pc.is_valid(text), pc.is_null(values)))
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
