"""84.51's Complete Journey: grocery purchases of households, campaigns sent to them, coupons used.

Both sides act: a campaign that reaches a household is a message of the company, by mail, on the
day the campaign starts; its item is the campaign. A redemption is about the product if its coupon
is good for exactly one, else about the campaign. A day without a time is its first moment; times
are read as UTC. A purchase of nothing for nothing is refused. The price of a product is the
usual one in the purchases at hand, where there are any.
"""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.interaction import SCHEMA
from features.readers.reading import (
    Chunk,
    Reading,
    UnreadableSourceError,
    as_interactions,
    as_items,
    in_chunks,
    in_file_order,
)
from features.rejects import Reject

PURCHASES = "transactions_sample.parquet"
CONTACTS = "campaigns.parquet"
REDEMPTIONS = "coupon_redemptions.parquet"
OTHERS = ("coupons.parquet", "campaign_descriptions.parquet", "products.parquet")
MARK = "campaign_descriptions.parquet"  # the file that gives such a folder away

# The rows of each file as columns of SCHEMA; no row of any file has the id of another.
QUERIES = {
    PURCHASES: """
        SELECT
            'purchase-' || basket_id || '-' || product_id AS interaction_id,
            household_id AS customer_id, basket_id AS session_id,
            'CUSTOMER' AS initiator, 'purchase' AS type, 'store' AS channel,
            product_id AS item_id, transaction_timestamp AS event_time,
            quantity, sales_value AS amount, 'USD' AS currency
        FROM transactions_sample
    """,
    CONTACTS: """
        SELECT
            'message-' || campaign_id || '-' || household_id AS interaction_id,
            household_id AS customer_id,
            'COMPANY' AS initiator, 'message' AS type, 'mail' AS channel,
            'campaign:' || campaign_id AS item_id, start_date AS event_time
        FROM campaigns LEFT JOIN campaign_descriptions USING (campaign_id)
    """,
    REDEMPTIONS: """
        SELECT
            concat_ws('-', 'redemption', campaign_id, household_id, coupon_upc, redemption_date)
                AS interaction_id,
            household_id AS customer_id,
            'CUSTOMER' AS initiator, 'redemption' AS type, 'store' AS channel,
            coalesce(only_product, 'campaign:' || campaign_id) AS item_id,
            redemption_date AS event_time,
            MAP {'coupon': coupon_upc} AS attributes
        FROM coupon_redemptions LEFT JOIN (
            SELECT coupon_upc, campaign_id, any_value(product_id) AS only_product
            FROM coupons GROUP BY ALL HAVING count(DISTINCT product_id) = 1
        ) USING (coupon_upc, campaign_id)
    """,
}
ITEMS = """
    SELECT
        product_id AS item_id,
        coalesce(product_type, product_category, department, '')
            || coalesce(', ' || package_size, '') AS name,
        coalesce(product_category, department, '') AS category,
        coalesce(brand || ' ' || manufacturer_id, brand, '') AS brand,
        round(price, 2) AS price, if(price IS NULL, NULL, 'USD') AS currency
    FROM products LEFT JOIN (
        SELECT product_id, median(sales_value / quantity) AS price
        FROM transactions_sample WHERE quantity > 0 AND sales_value > 0 GROUP BY product_id
    ) USING (product_id)
    UNION ALL
    SELECT 'campaign:' || campaign_id, 'Campaign ' || campaign_id, campaign_type, '', NULL, NULL
    FROM campaign_descriptions
    ORDER BY item_id
"""


def read(path: Path, *, source: str) -> Reading:
    """The folder of Parquet files, or one of them."""
    folder = path.parent if path.is_file() else path
    with duckdb.connect() as database:
        try:
            for name in (*QUERIES, *OTHERS):
                _open(database, folder / name)
            tables = {name: _numbered(database, query) for name, query in QUERIES.items()}
            items = database.sql(ITEMS).to_arrow_table()
        except duckdb.Error as error:
            raise UnreadableSourceError(f"{folder} cannot be read: {error}") from error
    chunks = (
        chunk for name, table in tables.items() for chunk in _chunks(table, folder / name, source)
    )
    found = as_items({name: items[name] for name in items.column_names})
    return Reading(source, path, chunks, lambda: found, sum(map(len, tables.values())))


def _open(database: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Makes a file a view of its name; rows that become interactions have their numbers."""
    if not file.is_file():
        raise UnreadableSourceError(f"{file} is missing: {MARK} and its kin belong together")
    path = str(file).replace("'", "''")
    numbered = str(file.name in QUERIES).lower()
    database.execute(
        f"CREATE VIEW {file.stem} AS FROM read_parquet('{path}', file_row_number = {numbered})"
    )


def _numbered(database: duckdb.DuckDBPyConnection, query: str) -> pa.Table:
    numbered = query.replace("SELECT", "SELECT file_row_number + 1 AS row,", 1)
    return database.sql(f"{numbered} ORDER BY row").to_arrow_table()


def _chunks(table: pa.Table, file: Path, source: str) -> Iterator[Chunk]:
    """Purchases of nothing for nothing are refused here; all else is left to the check."""
    rows = table["row"].to_numpy()
    kept = np.ones(len(table), bool)
    if file.name == PURCHASES:
        nothing = pc.and_(pc.equal(table["quantity"], 0), pc.equal(table["amount"], 0))
        kept = ~pc.fill_null(nothing, False).to_numpy()
    rule = "nothing was bought for nothing"
    rejects = [Reject(file.name, row, "quantity", "0.0", rule) for row in rows[~kept].tolist()]
    return in_chunks(_interactions(table.filter(kept), source), rows[kept], file, rejects)


def _interactions(table: pa.Table, source: str) -> pa.Table:
    given = {name: table[name] for name in table.column_names if name in SCHEMA.names}
    spread = in_file_order(table["customer_id"], table["event_time"], {})
    return as_interactions({**given, "source": source, "event_time": spread}, len(table))
