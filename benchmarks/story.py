"""Chooses from the history whom the demo is about, and what others did in the same place."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from features.history.partitions import CUSTOMER_KEY
from features.settings import Home

FEWEST_FOLLOWERS = 50
HISTORY_SIZE = (8, 40)


@dataclass(frozen=True, slots=True)
class Story:
    """A customer, and an item that is new to this customer but known for what follows it."""

    customer_id: str
    item_id: str
    item_name: str


@dataclass(frozen=True, slots=True)
class Follower:
    """An item that other customers turned to next, and the share of those who did."""

    item_id: str
    name: str
    share: float


def find_story(home: Home) -> Story:
    """The customer whose history ended last, and the item after which three others stand out."""
    item_id, name = _row(home, MOST_TELLING, [FEWEST_FOLLOWERS])
    (customer_id,) = _row(home, NEWEST_CUSTOMER, [item_id, *HISTORY_SIZE])
    return Story(customer_id, item_id, name)


def followers(home: Home, item_id: str, *, most: int) -> list[Follower]:
    """What customers turned to after this item, most frequent first."""
    return [Follower(*row) for row in _rows(home, FOLLOWERS, [item_id, most])]


def customers(home: Home, *, most: int) -> list[str]:
    """Customers of the history, always the same for the same history."""
    query = "SELECT DISTINCT customer_id FROM history WHERE customer_id IS NOT NULL ORDER BY 1"
    return [customer_id for (customer_id,) in _rows(home, f"{query} LIMIT ?", [most])]


STEPS = f"""
steps AS (
    SELECT item_id, lead(item_id) OVER (
        PARTITION BY {CUSTOMER_KEY} ORDER BY event_time, interaction_id
    ) AS next_id
    FROM history WHERE item_id IS NOT NULL AND initiator = 'CUSTOMER'
),
shares AS (
    SELECT item_id, next_id, count(*) / sum(count(*)) OVER (PARTITION BY item_id) AS share,
        sum(count(*)) OVER (PARTITION BY item_id) AS size
    FROM steps WHERE next_id IS NOT NULL AND next_id <> item_id GROUP BY item_id, next_id
)
"""
MOST_TELLING = f"""
WITH {STEPS},
placed AS (
    SELECT *, row_number() OVER (PARTITION BY item_id ORDER BY share DESC, next_id) AS place
    FROM shares WHERE size >= ?
)
SELECT item_id, any_value(name) FROM placed JOIN items USING (item_id)
WHERE place <= 3 GROUP BY item_id HAVING count(*) = 3
ORDER BY min(share) DESC, item_id LIMIT 1
"""
NEWEST_CUSTOMER = """
SELECT customer_id FROM history WHERE customer_id IS NOT NULL GROUP BY customer_id
HAVING count(*) FILTER (item_id = ?) = 0 AND count(*) BETWEEN ? AND ?
ORDER BY max(event_time) DESC, customer_id LIMIT 1
"""
FOLLOWERS = f"""
WITH {STEPS}
SELECT next_id, coalesce(name, next_id), share
FROM shares LEFT JOIN items ON items.item_id = next_id
WHERE shares.item_id = ? ORDER BY share DESC, next_id LIMIT ?
"""


def _rows(home: Home, query: str, values: list[Any]) -> list[tuple[Any, ...]]:
    with duckdb.connect() as database:
        for name, parts in (("history", home.history / "*"), ("items", home.items)):
            files = str(Path(parts) / "*.parquet").replace("'", "''")
            database.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{files}')")
        return database.execute(query, values).fetchall()


def _row(home: Home, query: str, values: list[Any]) -> tuple[Any, ...]:
    rows = _rows(home, query, values)
    if not rows:
        raise ValueError(f"too few interactions in {home.history} for a story")
    return rows[0]
