"""Raw columns as numbers; what else stands there is told by row."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.readers.texts import Converted, as_text, true_where

NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
NO_NUMBER = pa.scalar(None, pa.float64())
LARGEST_INTEGER = 2**31 - 1


def as_number(column: pa.Array, kind: pa.DataType) -> Converted:
    """Floating or whole numbers, as the kind is."""
    numbers, wrong = numbers_of(column)
    if not pa.types.is_integer(kind):
        return Converted(numbers, wrong, "must be a number such as 12.5")
    whole = pc.and_(
        pc.equal(numbers, pc.trunc(numbers)), pc.less_equal(pc.abs(numbers), LARGEST_INTEGER)
    )
    wrong = wrong | ~true_where(pc.fill_null(whole, True))
    kept = pc.if_else(pa.array(wrong), pa.scalar(None, pa.float64()), numbers)
    return Converted(kept.cast(kind), wrong, "must be a whole number such as 3")


def numbers_of(column: pa.Array) -> tuple[pa.Array, np.ndarray]:
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
    return numbers, given.wrong | ~true_where(pc.fill_null(plain, True))
