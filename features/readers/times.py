"""Raw columns as times: what the source calls a time, as a moment in UTC."""

from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.interaction import SCHEMA
from features.readers.mapping import UNITS, Origin
from features.readers.quantities import NO_NUMBER, numbers_of
from features.readers.texts import Converted, as_text, true_where

TIME = SCHEMA.field("event_time").type
FIRST_TIME_US, LAST_TIME_US = -62.1e15, 253.3e15  # in the years 2 and 9996


def as_time(column: pa.Array, origin: Origin) -> Converted:
    """Times by type, by unit, or by form, whichever the column and its origin have."""
    kind = column.type
    if pa.types.is_date(kind):
        column = column.cast(pa.timestamp("s"))
    if pa.types.is_timestamp(column.type):
        ticks, wrong = numbers_of(column.cast(pa.int64()))
        times = _since_1970(ticks, wrong, column.type.unit)
        return times if column.type.tz else _in_zone(times, origin.zone)
    if origin.unit:
        return _since_1970(*numbers_of(column), origin.unit)
    return _parsed(as_text(column), origin)


def _since_1970(numbers: pa.Array, wrong: np.ndarray, unit: str) -> Converted:
    """Times; what lies beyond any calendar is no time."""
    moments = pc.round(pc.multiply(numbers, UNITS[unit]))
    inside = pc.and_(pc.greater_equal(moments, FIRST_TIME_US), pc.less_equal(moments, LAST_TIME_US))
    wrong = wrong | ~true_where(pc.fill_null(inside, True))
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
    wrong = given.wrong | true_where(pc.and_(pc.is_valid(text), pc.is_null(values)))
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
