"""Interactions and tables of them, for tests."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from features.interaction import SCHEMA, Interaction

START = datetime(2026, 1, 1, tzinfo=UTC)


def interaction(number: int = 0, **changes: object) -> Interaction:
    """A view by the customer ada of item i<number>, `number` seconds into 2026."""
    fields: dict[str, object] = {
        "source": "test",
        "interaction_id": str(number),
        "customer_id": "ada",
        "initiator": "CUSTOMER",
        "type": "view",
        "channel": "web",
        "item_id": f"i{number}",
        "event_time": START + timedelta(seconds=number),
    }
    return Interaction(**(fields | changes))  # type: ignore[arg-type]


def table_of(interactions: Sequence[Interaction]) -> pa.Table:
    """Rows of SCHEMA."""
    rows = [{name: getattr(each, name) for name in SCHEMA.names} for each in interactions]
    for row in rows:
        row["attributes"] = list(row["attributes"].items())
    return pa.Table.from_pylist(rows, schema=SCHEMA)
