"""The check at the door for whole tables: the same verdicts as interaction.check, row by row.

Columns tell cheaply which rows are surely lawful; every other row is judged by check itself,
so that there is one law. The columns may suspect too many rows, never too few.
"""

from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.interaction import (
    ANONYMOUS,
    EARLIEST,
    MAX_AMOUNT,
    MAX_ATTRIBUTES,
    MAX_FUTURE,
    MAX_ID_BYTES,
    MAX_KEY_BYTES,
    MAX_POSITION,
    MAX_QUANTITY,
    OPT_IN,
    OPT_OUT,
    Interaction,
    Violation,
    check,
)
from features.vocabulary import Initiator, Vocabulary

ID_PATTERN = rf"^[ -~]{{1,{MAX_ID_BYTES}}}$"
TEXT_PATTERN = rf"^[ -~]{{0,{MAX_KEY_BYTES}}}$"
CHANNEL_PATTERN = r"^[a-z]{1,64}$"
CURRENCY_PATTERN = r"^[A-Z]{3}$"


def violations(
    table: pa.Table, *, vocabulary: Vocabulary, now: datetime
) -> dict[int, list[Violation]]:
    """The broken rules of each row of SCHEMA that may not enter, by its place in the table."""
    suspects = np.flatnonzero(~_surely_lawful(table, vocabulary, now))
    found = {}
    for place, row in zip(suspects.tolist(), table.take(suspects).to_pylist(), strict=True):
        broken = _judge(row, vocabulary, now)
        if broken:
            found[place] = broken
    return found


def interaction_of(row: dict[str, Any]) -> Interaction:
    """A row of SCHEMA, as pyarrow gives it, as an interaction."""
    return Interaction(**{**row, "attributes": dict(row["attributes"] or ())})


def _judge(row: dict[str, Any], vocabulary: Vocabulary, now: datetime) -> list[Violation]:
    if row["event_time"] is None:
        return [Violation("event_time", "None", "is required")]
    return check(interaction_of(row), vocabulary=vocabulary, now=now)


def _surely_lawful(table: pa.Table, vocabulary: Vocabulary, now: datetime) -> np.ndarray:
    lawful = _customers_lawful(table) & _money_lawful(table, vocabulary)
    for name in ("source", "interaction_id"):
        lawful &= _matches(table[name], ID_PATTERN, null=False)
    for name in ("session_id", "item_id", "decision_id"):
        lawful &= _matches(table[name], ID_PATTERN, null=True)
    lawful &= _is_in(table["initiator"], list(Initiator.__members__))
    lawful &= _is_in(table["type"], [*vocabulary.types.keys() - {OPT_IN, OPT_OUT}])
    lawful &= _matches(table["channel"], CHANNEL_PATTERN, null=False)
    lawful &= _within(table["event_time"], EARLIEST, now + MAX_FUTURE, null=False)
    lawful &= _within(table["quantity"], 0.0, MAX_QUANTITY)
    lawful &= _within(table["position"], 0, MAX_POSITION)
    return lawful & _attributes_lawful(table["attributes"])


def _customers_lawful(table: pa.Table) -> np.ndarray:
    known, anonymous = table["customer_id"], table["anonymous_id"]
    named = ~(_flags(pc.is_null(known)) & _flags(pc.is_null(anonymous)))
    plain = _matches(known, ID_PATTERN, null=True) & _matches(anonymous, ID_PATTERN, null=True)
    reserved = _filled(pc.starts_with(known, ANONYMOUS), null=False)
    return named & plain & ~reserved


def _money_lawful(table: pa.Table, vocabulary: Vocabulary) -> np.ndarray:
    amount, currency = table["amount"], table["currency"]
    absent = _flags(pc.is_null(amount))
    together = absent == _flags(pc.is_null(currency))
    transactions = [name for name, each in vocabulary.types.items() if each.transaction]
    allowed = absent | _is_in(table["type"], transactions)
    plain = _matches(currency, CURRENCY_PATTERN, null=True) & _within(amount, 0.0, MAX_AMOUNT)
    return together & allowed & plain


def _attributes_lawful(column: pa.ChunkedArray) -> np.ndarray:
    entries = column.combine_chunks()
    ends = entries.offsets.to_numpy()
    lawful = np.diff(ends) <= MAX_ATTRIBUTES
    for texts in (entries.keys, entries.items):
        plain = _matches(texts.slice(ends[0], ends[-1] - ends[0]), TEXT_PATTERN, null=False)
        odd = ends[0] + np.flatnonzero(~plain)
        lawful[np.searchsorted(ends, odd, side="right") - 1] = False
    return lawful


def _matches(column: pa.ChunkedArray, pattern: str, *, null: bool) -> np.ndarray:
    return _filled(pc.match_substring_regex(column, pattern), null=null)


def _is_in(column: pa.ChunkedArray, names: list[str]) -> np.ndarray:
    return _flags(pc.is_in(column, pa.array(names, pa.string())))


def _within(column: pa.ChunkedArray, least: Any, most: Any, *, null: bool = True) -> np.ndarray:
    """From least to most, or null where that is allowed; NaN is not within anything."""
    low, high = pa.scalar(least, column.type), pa.scalar(most, column.type)
    return _filled(pc.and_(pc.greater_equal(column, low), pc.less_equal(column, high)), null=null)


def _filled(column: pa.ChunkedArray, *, null: bool) -> np.ndarray:
    return _flags(pc.fill_null(column, null))


def _flags(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    flags: np.ndarray = (
        column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy()
    )
    return flags.copy()
