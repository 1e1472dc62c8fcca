"""Tmall's contest of 2014: clicks, purchases, favourites and carts of customers on brands.

The item is the brand. Days have no year: it is 2014. Within a day the file's order is the order
of events, so each row of a customer and day lies 4 ms after the one before, from 00:00 UTC on.
The data holds no money, so none is recorded.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from features.interaction import shown
from features.readers.reading import (
    Reading,
    UnreadableSourceError,
    as_interactions,
    as_items,
    in_chunks,
    in_file_order,
    position_ids,
)
from features.rejects import Reject

FILE = "interactions.csv.gz"
COLUMNS = ("user_id", "brand_id", "type", "visit_datetime")
TYPES = {"0": "view", "1": "purchase", "2": "favorite", "3": "cart-add"}
YEAR = 2014


def read(path: Path, *, source: str) -> Reading:
    """The interactions file, or the folder that holds it."""
    file = path / FILE if path.is_dir() else path
    table = _table(file)
    rows = np.arange(1, len(table) + 1)
    days = _days(table["visit_datetime"])
    rejects = _without_day(table, days, file)
    dated = pc.is_valid(days).to_numpy()
    ids = position_ids(table, rows).filter(dated)
    interactions = _interactions(table.filter(dated), days.drop_null(), source=source, ids=ids)
    return Reading(
        source,
        path,
        in_chunks(interactions, rows[dated], file, rejects),
        lambda: _items(interactions["item_id"]),
        len(table),
    )


def _interactions(
    table: pa.Table, days: pa.ChunkedArray, *, source: str, ids: pa.Array
) -> pa.Table:
    return as_interactions(
        {
            "source": source,
            "interaction_id": ids,
            "customer_id": table["user_id"],
            "initiator": "CUSTOMER",
            "type": _types(table["type"]),
            "channel": "web",
            "item_id": table["brand_id"],
            "event_time": in_file_order(table["user_id"], days, {}),
        },
        len(table),
    )


def _table(file: Path) -> pa.Table:
    strings = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(COLUMNS, pa.string()), strings_can_be_null=True
    )
    try:
        table = pyarrow.csv.read_csv(file, convert_options=strings)
    except (OSError, pa.ArrowException) as error:
        raise UnreadableSourceError(f"{file} cannot be read as CSV: {error}") from error
    if missing := set(COLUMNS) - set(table.column_names):
        raise UnreadableSourceError(
            f"{file} lacks {', '.join(sorted(missing))}; it has {', '.join(table.column_names)}"
        )
    return table.select(COLUMNS)


def _types(codes: pa.ChunkedArray) -> pa.Array:
    """Types by name; a code that means none stays, and is refused by the check."""
    encoded = codes.combine_chunks().dictionary_encode()
    names = pa.array([TYPES.get(code, code) for code in encoded.dictionary.to_pylist()])
    return names.take(encoded.indices)


def _days(days: pa.ChunkedArray) -> pa.ChunkedArray:
    """Midnight of each day; null for what is none."""
    dates = pc.binary_join_element_wise(str(YEAR), days, "-")
    return pc.strptime(dates, "%Y-%m-%d", "us", error_is_null=True)


def _without_day(table: pa.Table, days: pa.ChunkedArray, file: Path) -> list[Reject]:
    places = np.flatnonzero(pc.is_null(days).to_numpy())
    values = table["visit_datetime"].take(places).to_pylist()
    rule = f"must be a month and day of {YEAR}, such as 4-15"
    return [
        Reject(file.name, place + 1, "event_time", shown(value), rule)
        for place, value in zip(places.tolist(), values, strict=True)
    ]


def _items(brands: pa.ChunkedArray) -> pa.Table:
    ids = brands.unique().drop_null().to_pylist()
    names = [f"Brand {each}" for each in ids]
    return as_items({"item_id": pa.array(ids), "name": pa.array(names), "brand": pa.array(names)})
