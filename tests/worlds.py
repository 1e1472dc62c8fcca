"""Simulated worlds, for tests: the scenario, and the history in one order."""

from datetime import UTC, datetime

import duckdb
import pyarrow as pa

from features.interaction import SCHEMA
from features.settings import Home
from features.simulation.simulate import Scenario
from features.vocabulary import load_vocabulary

VOCABULARY = load_vocabulary()
UNTIL = datetime(2026, 11, 22, tzinfo=UTC)
SCENARIO = Scenario(customers=600, days=60, items=400, seed=7, until=UNTIL)
SMALL = Scenario(customers=40, days=20, items=80, seed=1, until=UNTIL)


def whole(home: Home) -> pa.Table:
    """The history in one order."""
    with duckdb.connect() as database:
        columns = ", ".join(SCHEMA.names)
        parts = f"{home.history}/*/*.parquet"
        query = f"SELECT {columns} FROM '{parts}' ORDER BY event_time, interaction_id"
        return database.sql(query).to_arrow_table().cast(SCHEMA)
