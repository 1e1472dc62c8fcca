"""How interactions are distributed: by type, channel, gap, popularity of the item, and amount."""

from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from features.artefact import load_items, load_popularity
from features.settings import Home
from training.data.split import parts_of

BANDS = (10, 30, 100, 300, 1000)  # the most popular so many, less those before
Distributions = dict[str, dict[str, int]]
"""Counts of interactions, by feature and by bin of the feature."""

ACTS = """
CREATE TEMP TABLE acts AS
WITH gaps AS (
    SELECT *, event_time - lag(event_time) OVER (
        PARTITION BY coalesce(customer_id, anonymous_id) ORDER BY event_time
    ) AS gap
    FROM history WHERE event_time < '{before}'
)
SELECT
    type,
    channel,
    coalesce(floor(log2(1 + epoch(gap)))::INT::VARCHAR, 'first') AS gap,
    CASE WHEN coalesce(gaps.item_id, '') = '' THEN 'none'
        ELSE coalesce(bands.band, 'unknown') END AS popularity,
    coalesce(floor(log2(1 + abs(amount)))::INT::VARCHAR, 'none') AS amount
FROM gaps LEFT JOIN bands USING (item_id)
WHERE event_time >= '{since}'
"""
FEATURES = ("type", "channel", "gap", "popularity", "amount")


def distributions(
    home: Home, artefact: Path, *, since: datetime, before: datetime
) -> Distributions:
    """Of the interactions from one time to another; how popular items are, an artefact says."""
    files = [str(file) for file in parts_of(home)]
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        database.register("bands", _bands(artefact))
        database.read_parquet(files, hive_partitioning=False).create_view("history")
        database.execute(ACTS.format(since=since.isoformat(), before=before.isoformat()))
        return {feature: _counts(database, feature) for feature in FEATURES}


def _counts(database: duckdb.DuckDBPyConnection, feature: str) -> dict[str, int]:
    rows = database.execute(f"SELECT {feature}, count(*) FROM acts GROUP BY 1 ORDER BY 1")
    return {str(name): int(count) for name, count in rows.fetchall()}


def _bands(artefact: Path) -> pa.Table:
    item_ids = load_items(artefact).item_ids
    popular = load_popularity(artefact)[""]
    band_by_index = {index: _band(place) for place, index in enumerate(popular)}
    bands = [band_by_index.get(index, "rest") for index in range(len(item_ids))]
    return pa.table({"item_id": pa.array(item_ids, pa.string()), "band": bands})


def _band(place: int) -> str:
    return next((f"first {most}" for most in BANDS if place < most), "rest")
