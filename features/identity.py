"""Identity: an interaction of type identify joins an anonymous history to a known customer.

It names both. The anonymous id belongs to the first customer whom it is joined to; a second one
never takes it over, and two known customers are never made one.
"""

from collections.abc import Iterable
from pathlib import Path

import duckdb
import pyarrow as pa

from features.history.partitions import is_empty, scan
from features.interaction import ANONYMOUS, Interaction

IDENTIFY = "identify"

ALIASES_SCHEMA = pa.schema([("alias", pa.string()), ("customer_key", pa.string())])


def aliases_among(interactions: Iterable[Interaction]) -> dict[str, str]:
    """The customer key for each anonymous key that is joined; of several the first holds."""
    aliases: dict[str, str] = {}
    for each in interactions:
        if each.type == IDENTIFY and each.customer_id and each.anonymous_id:
            aliases.setdefault(f"{ANONYMOUS}{each.anonymous_id}", each.customer_id)
    return aliases


def aliases_in(root: Path) -> pa.Table:
    """The joins that a history holds, rows of ALIASES_SCHEMA; of several the earliest holds."""
    if is_empty(root):
        return ALIASES_SCHEMA.empty_table()
    with duckdb.connect() as database:
        found = database.sql(
            f"""
            SELECT
                '{ANONYMOUS}' || anonymous_id AS alias,
                arg_min(customer_id, (event_time, interaction_id)) AS customer_key
            FROM {scan(root)}
            WHERE type = '{IDENTIFY}' AND customer_id <> '' AND anonymous_id <> ''
            GROUP BY anonymous_id ORDER BY alias
            """
        )
        return found.to_arrow_table().cast(ALIASES_SCHEMA)
