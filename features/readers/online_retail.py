"""UCI Online Retail: the invoices and cancellations of a British gift shop, 2010 to 2011.

An invoice whose number begins with C is a return; its quantity counts positive. Charges (postage,
bank fees, manual corrections) are no products and are refused, as are rows without a customer.
A free item is a purchase of 0 GBP. Times are to the minute, read as UTC; the lines of an invoice
lie 4 ms apart in file order.
"""

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

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

FILE = "online_retail.parquet"
COLUMNS = pa.schema(
    [
        ("InvoiceNo", pa.string()),
        ("StockCode", pa.string()),
        ("Description", pa.string()),
        ("Quantity", pa.float64()),
        ("InvoiceDate", pa.timestamp("us")),
        ("UnitPrice", pa.float64()),
        ("CustomerID", pa.int64()),
        ("Country", pa.string()),
    ]
)
CHARGES = (
    "AMAZONFEE", "B", "BANK CHARGES", "C2", "CRUK", "D", "DOT", "M", "POST", "S"
)  # fmt: skip
CURRENCY = "GBP"


def read(path: Path, *, source: str) -> Reading:
    """The Parquet file, or the folder that holds it."""
    file = path / FILE if path.is_dir() else path
    table = _table(file)
    rows = np.arange(1, len(table) + 1)
    ids = position_ids(table, rows)
    codes = pc.utf8_upper(pc.utf8_trim_whitespace(table["StockCode"]))
    table = table.set_column(1, "StockCode", codes)
    product = ~pc.is_in(codes, pa.array(CHARGES)).to_numpy()
    rejects = _charges(codes, product, file)
    products = table.filter(product)
    interactions = _interactions(products, source=source, ids=ids.filter(product))
    return Reading(
        source,
        path,
        in_chunks(interactions, rows[product], file, rejects),
        lambda: _items(products),
        len(table),
    )


def _table(file: Path) -> pa.Table:
    try:
        table = pq.read_table(file)
        if missing := set(COLUMNS.names) - set(table.column_names):
            raise UnreadableSourceError(
                f"{file} lacks {', '.join(sorted(missing))}; it has {', '.join(table.column_names)}"
            )
        return table.select(COLUMNS.names).cast(COLUMNS)
    except (OSError, pa.ArrowException) as error:
        raise UnreadableSourceError(f"{file} cannot be read: {error}") from error


def _interactions(table: pa.Table, *, source: str, ids: pa.Array) -> pa.Table:
    returned = pc.starts_with(table["InvoiceNo"], "C")
    quantity = pc.if_else(returned, pc.negate(table["Quantity"]), table["Quantity"])
    amount = np.round(pc.multiply(quantity, table["UnitPrice"]).to_numpy(), 4)
    customers = table["CustomerID"].cast(pa.string())
    return as_interactions(
        {
            "source": source,
            "interaction_id": ids,
            "customer_id": customers,
            "session_id": table["InvoiceNo"],
            "initiator": "CUSTOMER",
            "type": pc.if_else(returned, "return", "purchase"),
            "channel": "web",
            "item_id": table["StockCode"],
            "event_time": in_file_order(customers, table["InvoiceDate"], {}),
            "quantity": quantity,
            "amount": pa.array(amount, from_pandas=True),
            "currency": CURRENCY,
            "attributes": _countries(table["Country"]),
        },
        len(table),
    )


def _countries(countries: pa.ChunkedArray) -> pa.Array:
    names = countries.combine_chunks()
    offsets = np.arange(len(names) + 1, dtype=np.int32)
    return pa.MapArray.from_arrays(offsets, pa.repeat("country", len(names)), names)


def _charges(codes: pa.ChunkedArray, product: np.ndarray, file: Path) -> list[Reject]:
    places = np.flatnonzero(~product)
    values = codes.take(places).to_pylist()
    rule = "is a charge of the shop, not a product"
    return [
        Reject(file.name, place + 1, "item_id", shown(value), rule)
        for place, value in zip(places.tolist(), values, strict=True)
    ]


def _items(products: pa.Table) -> pa.Table:
    """Each product that a customer is known to have bought: its usual name, its last price."""
    with duckdb.connect() as database:
        database.register("products", products)
        found = database.sql(
            """
            SELECT
                StockCode AS item_id,
                coalesce(mode(trim(Description) ORDER BY trim(Description)), '') AS name,
                arg_max(UnitPrice, InvoiceDate) FILTER (UnitPrice > 0) AS price
            FROM products
            WHERE CustomerID IS NOT NULL
            GROUP BY StockCode ORDER BY StockCode
            """
        ).to_arrow_table()
    priced = pc.is_valid(found["price"])
    currency = pc.if_else(priced, CURRENCY, pa.scalar(None, pa.string()))
    columns = {name: found[name] for name in found.column_names}
    return as_items({**columns, "currency": currency})
