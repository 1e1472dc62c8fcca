"""Item measures: popularity, conversion and return rates of items, a snapshot a day.

    item-measures/2026-11-22.parquet      item_id, update_time, and a column for each measure

The snapshot of a day knows what happened before that day began (UTC) and nothing else, so that
a decision of the past sees what it could have seen. It has a row for each item that anything had
happened to. Categories are those that the catalog has now.

    popularity_<D>d     interactions that customers began; each counts 2 ** -(its age / D days)
    conversion_<W>      purchases for each view within the window: 7 or 30 days, or all
    return_rate_<W>     returns for each purchase, likewise

A rate is shrunk towards that of the item's category, and that towards the catalog's:
(K * prior rate + events) / (K + trials), the mean of a Gamma posterior as in measures.customers.
"""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from features.catalog_parts import read_items
from features.history.partitions import is_empty, read_parts, scan_of, write_whole
from features.measures.customers import HALF_LIVES_DAYS
from features.settings import Home

WINDOWS = {"7d": 7, "30d": 30, "all": 36_500}  # in days
RATES = {"conversion": ("purchase", "view", 25.0), "return_rate": ("return", "purchase", 3.0)}
"""Event, trial and K. K by the method of moments, an item an observation: purchases and clicks of
9,511 brands of the Tmall 2014 contest, cancelled and other lines of 4,059 articles of UCI Online
Retail."""
TYPES = ("view", "purchase", "return")

ITEM_MEASURES = (
    *(f"popularity_{days}d" for days in HALF_LIVES_DAYS),
    *(f"{rate}_{window}" for rate in RATES for window in WINDOWS),
)

SNAPSHOT_SCHEMA = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("update_time", pa.timestamp("us", tz="UTC"), nullable=False),
        *(pa.field(name, pa.float64(), nullable=False) for name in ITEM_MEASURES),
    ]
)


def snapshot_items(
    home: Home,
    *,
    today: date,
    again: bool = False,
    progress: Callable[[int], None] = lambda count: None,
) -> int:
    """Writes the snapshots that are missing, up to `today`; gives how many.

    The newest that is there is written again, since not all of its last day may have been in the
    history; and, told so, every one. Each file appears whole: cut off, the next run goes on.
    """
    if is_empty(home.history):
        return 0
    home.item_measures.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as database:
        _prepare(database, home)
        days = list(_missing(database, home.item_measures, today, again=again))
        for day in days:
            write_whole(_snapshot(database, day), _path(home.item_measures, day))
            progress(1)
    return len(days)


def newest_snapshot(home: Home, *, rows_a_batch: int = 20_000) -> Iterator[pa.Table]:
    """The newest snapshot, in batches of rows of SNAPSHOT_SCHEMA; none where there is none."""
    for part in sorted(home.item_measures.glob("*.parquet"))[-1:]:
        rows = pq.read_table(part)
        for start in range(0, len(rows), rows_a_batch):
            yield rows.slice(start, rows_a_batch)


def _prepare(database: duckdb.DuckDBPyConnection, home: Home) -> None:
    """One pass over the history: what happened to each item on each day, decayed to its end."""
    database.execute("SET TimeZone = 'UTC'")
    database.register("catalog", read_items(home).select(["item_id", "category"]))
    age_days = "epoch(day + INTERVAL 1 DAY - event_time::TIMESTAMP) / 86400"
    decayed = [
        f"sum(pow(2, -{age_days} / {days})) FILTER (initiator = 'CUSTOMER') AS decayed_{days}"
        for days in HALF_LIVES_DAYS
    ]
    counts = [f"count(*) FILTER (type = '{each}') AS \"{each}\"" for each in TYPES]
    query = f"""
        CREATE OR REPLACE TABLE daily AS
        SELECT item_id, day, {", ".join([*decayed, *counts])}
        FROM (SELECT *, event_time::DATE AS day FROM {{}} WHERE item_id <> '')
        GROUP BY item_id, day
        """
    read_parts(home.history, lambda found: database.execute(query.format(scan_of(found))))


def _missing(
    database: duckdb.DuckDBPyConnection, folder: Path, today: date, *, again: bool
) -> Iterator[date]:
    first, last = database.sql("SELECT min(day), max(day) FROM daily").fetchall()[0]
    if first is None:  # nothing in the history is about an item
        return
    held = sorted(part.stem for part in folder.glob("*.parquet"))
    kept = set() if again else set(held[:-1])
    for number in range((min(last, today - timedelta(days=1)) - first).days + 1):
        day = first + timedelta(days=number + 1)
        if day.isoformat() not in kept:
            yield day


def _path(folder: Path, day: date) -> Path:
    return folder / f"{day.isoformat()}.parquet"


def _snapshot(database: duckdb.DuckDBPyConnection, day: date) -> pa.Table:
    rows = database.sql(
        f"""
        WITH sums AS (SELECT item_id, {_sums()} FROM daily WHERE day < $day GROUP BY item_id)
        SELECT item_id, $day::TIMESTAMPTZ AS update_time, {_measures()}
        FROM sums LEFT JOIN catalog USING (item_id) ORDER BY item_id
        """,
        params={"day": day},
    )
    return rows.to_arrow_table().cast(SNAPSHOT_SCHEMA)


def _sums() -> str:
    popular = [
        f"coalesce(sum(decayed_{days} * pow(2, -($day - day - 1) / {days}::DOUBLE)), 0) "
        f"AS popularity_{days}d"
        for days in HALF_LIVES_DAYS
    ]
    counts = [
        f'coalesce(sum("{each}") FILTER (day >= $day - {days}), 0) AS "{each}_{window}"'
        for each in TYPES
        for window, days in WINDOWS.items()
    ]
    return ", ".join([*popular, *counts])


def _measures() -> str:
    popular = [f"popularity_{days}d" for days in HALF_LIVES_DAYS]
    rates = [
        f"{_rate(f'{event}_{window}', f'{trial}_{window}', weight)} AS {name}_{window}"
        for name, (event, trial, weight) in RATES.items()
        for window in WINDOWS
    ]
    return ", ".join([*popular, *rates])


def _rate(event: str, trial: str, weight: float) -> str:
    """SQL for the rate of an item, shrunk towards its category's, shrunk towards the catalog's."""
    catalog = f"coalesce(sum({event}) OVER () / nullif(sum({trial}) OVER (), 0), 0)"
    by_category = "OVER (PARTITION BY coalesce(category, ''))"
    category = (
        f"({weight} * {catalog} + sum({event}) {by_category}) "
        f"/ ({weight} + sum({trial}) {by_category})"
    )
    return f"({weight} * {category} + {event}) / ({weight} + {trial})"
