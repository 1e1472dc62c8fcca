"""Outcomes: what came of each decision, and what that was worth to either side.

An offer was shown if the company's frontend says so: an interaction that the company began, with
the decision's id, about the item or about none in particular. What the customer did counts as an
outcome within the attribution window: if it names the decision and is about the item, or names no
decision and is about an item that was shown; then for the latest decision that showed it. What is
about no item, such as an opt-out, counts for the first place. Each type counts once. Where nothing
came within the window, the outcome is NONE, worth 0; and so it is of silence.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from features.decisions.decision import SCHEMA as DECISIONS
from features.decisions.parts import of_days_since
from features.decisions.parts import scan_of as decisions_of
from features.history.partitions import CUSTOMER_KEY, read_parts
from features.history.partitions import scan_of as history_of
from features.identity import aliases_in
from features.interaction import SCHEMA
from features.settings import Home
from features.vocabulary import Initiator, Vocabulary

NONE = "none"
WINDOW = timedelta(days=3)

OUTCOMES = f"""
WITH
interactions AS (
    SELECT i.*, coalesce(a.customer_key, i.own_key) AS customer_key
    FROM (SELECT *, {CUSTOMER_KEY} AS own_key FROM {{history}}) AS i
    LEFT JOIN aliases AS a ON a.alias = i.own_key
    WHERE event_time >= $since
),
decided AS (
    SELECT d.* REPLACE (coalesce(a.customer_key, d.customer_key) AS customer_key)
    FROM {{decisions}} AS d LEFT JOIN aliases AS a ON a.alias = d.customer_key
    WHERE d.customer_key IS NOT NULL AND d.decide_time >= $since AND d.decide_time <= $closed
),
offers AS (
    SELECT decision_id, customer_key, decide_time, offer.item_id AS item_id,
        offer.position AS position
    FROM decided, unnest(candidates) AS each(offer) WHERE offer.position >= 0
),
shown AS (
    SELECT DISTINCT o.* FROM offers AS o JOIN interactions AS i USING (decision_id)
    WHERE i.initiator = '{Initiator.COMPANY}' AND coalesce(i.item_id, o.item_id) = o.item_id
),
done AS (
    SELECT * FROM interactions WHERE initiator = '{Initiator.CUSTOMER}'
),
answered AS (
    SELECT o.decision_id, o.position, d.type
    FROM offers AS o JOIN done AS d USING (decision_id)
    WHERE coalesce(d.item_id = o.item_id, o.position = 0)
        AND d.event_time BETWEEN o.decide_time AND o.decide_time + $window
),
followed AS (
    SELECT s.decision_id, s.position, d.type
    FROM done AS d JOIN shown AS s USING (customer_key, item_id)
    WHERE d.decision_id IS NULL
        AND d.event_time BETWEEN s.decide_time AND s.decide_time + $window
    QUALIFY row_number() OVER (
        PARTITION BY d.source, d.interaction_id ORDER BY s.decide_time DESC, s.position
    ) = 1
),
credited AS (
    SELECT decision_id, position, arg_max(type, (abs(customer + company), type)) AS outcome,
        sum(customer) AS customer_value, sum(company) AS company_value
    FROM (FROM answered UNION FROM followed) JOIN worths USING (type)
    GROUP BY decision_id, position
)
SELECT o.decision_id, o.customer_key, o.decide_time, o.position, o.item_id,
    s.decision_id IS NOT NULL OR c.decision_id IS NOT NULL AS shown,
    coalesce(c.outcome, '{NONE}') AS outcome,
    coalesce(c.customer_value, 0.0) AS customer_value,
    coalesce(c.company_value, 0.0) AS company_value
FROM offers AS o
LEFT JOIN shown AS s USING (decision_id, position)
LEFT JOIN credited AS c USING (decision_id, position)
UNION ALL BY NAME
SELECT decision_id, customer_key, decide_time, NULL AS position, NULL AS item_id,
    false AS shown, '{NONE}' AS outcome, 0.0 AS customer_value, 0.0 AS company_value
FROM decided WHERE reason <> ''
ORDER BY decide_time, decision_id, position
"""

Worth = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Which decisions are looked at, and what counts for them."""

    since: datetime
    now: datetime  # decisions whose window is still open are left out
    window: timedelta = WINDOW


def outcomes(home: Home, worths: Mapping[str, Worth], attribution: Attribution) -> pa.Table:
    """A row for each place of each decision that offers, and one for each that is silent.

    `worths` says what one interaction of a type is worth to customer and company. The rows have
    decision_id, customer_key, decide_time, position, item_id, shown, outcome (the type that was
    worth most), customer_value and company_value. Only what is drained is seen, and only decisions
    of customers who let them be analysed.
    """

    def read(decisions: list[Path], history: list[Path]) -> pa.Table:
        found = of_days_since(decisions, attribution.since)
        tables = {
            "aliases": aliases_in(home.history),
            "no_interactions": SCHEMA.empty_table(),
            "no_decisions": DECISIONS.empty_table(),
        }
        sources = {
            "history": history_of(history) if history else "no_interactions",
            "decisions": decisions_of(found) if found else "no_decisions",
        }
        return _joined(sources, tables, worths, attribution)

    return read_parts(
        home.decisions,
        lambda decisions: read_parts(home.history, lambda history: read(decisions, history)),
    )


def outcomes_among(
    decisions: pa.Table,
    interactions: pa.Table,
    aliases: pa.Table,
    worths: Mapping[str, Worth],
    attribution: Attribution,
) -> pa.Table:
    """The same for decisions and interactions that are at hand; `aliases` has ALIASES_SCHEMA."""
    tables = {"logged": decisions, "recorded": interactions, "aliases": aliases}
    sources = {"decisions": "logged", "history": "recorded"}
    return _joined(sources, tables, worths, attribution)


def _joined(
    sources: Mapping[str, str],
    tables: Mapping[str, pa.Table],
    worths: Mapping[str, Worth],
    attribution: Attribution,
) -> pa.Table:
    values = {
        "since": attribution.since,
        "closed": attribution.now - attribution.window,
        "window": attribution.window,
    }
    with duckdb.connect() as database:
        database.register("worths", _table_of(worths))
        for name, table in tables.items():
            database.register(name, table)
        return database.sql(OUTCOMES.format(**sources), params=values).to_arrow_table()


def vocabulary_worths(vocabulary: Vocabulary) -> dict[str, Worth]:
    """What the vocabulary says one interaction of each type is worth."""
    types = vocabulary.types.values()
    return {each.name: (each.customer_value, each.company_value) for each in types}


def _table_of(worths: Mapping[str, Worth]) -> pa.Table:
    rows = [{"type": name, "customer": c, "company": o} for name, (c, o) in worths.items()]
    kinds = [("type", pa.string()), ("customer", pa.float64()), ("company", pa.float64())]
    return pa.Table.from_pylist(rows, schema=pa.schema(kinds))
