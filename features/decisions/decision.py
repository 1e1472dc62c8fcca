"""A logged decision: all that it takes to explain it, to replay it, and to find its outcome.

K candidates of a decision   T predicted types
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

NOT_OFFERED = -1  # as the position of a candidate
TIME_DIGITS = 12  # of a decision id, hexadecimal: milliseconds since 1970
ID_BYTES = 16
LATEST_MS = 253_402_300_799_999  # the last moment of the year 9999

CANDIDATE = pa.struct(
    [
        pa.field("item_id", pa.string()),
        pa.field("price", pa.float64()),
        pa.field("probabilities", pa.list_(pa.float32())),  # of (type, item), as `types` has them
        pa.field("customer_value", pa.float64()),
        pa.field("company_value", pa.float64()),
        pa.field("value", pa.float64()),  # of both sides, less attention
        pa.field("muted", pa.bool_()),  # the customer wants no more of it
        pa.field("position", pa.int32()),  # from 0; NOT_OFFERED
        pa.field("propensity", pa.float64()),  # 0 for what is not offered, or never drawn by lot
    ]
)
TEXTS = pa.list_(pa.string())
SCHEMA = pa.schema(
    [
        pa.field("decision_id", pa.string(), nullable=False),
        pa.field("customer_key", pa.string()),  # null without consent to measurement
        pa.field("decide_time", pa.timestamp("us", tz="UTC"), nullable=False),
        *(pa.field(name, pa.string()) for name in ("channel", "placement", "initiator")),
        *(pa.field(name, pa.string()) for name in ("reason", "detail", "experiment", "arm")),
        pa.field("degradation", pa.string()),
        *(pa.field(name, pa.string()) for name in ("model_version", "policy_version")),
        pa.field("k", pa.int32()),
        pa.field("attention", pa.float64()),
        pa.field("customer_floor", pa.float64()),
        pa.field("filter", pa.string()),
        pa.field("asked_item_ids", TEXTS),
        pa.field("excluded_item_ids", TEXTS),
        pa.field("removed", pa.map_(pa.string(), pa.int64())),
        pa.field("considered_count", pa.int32()),
        pa.field("history_count", pa.int32()),
        pa.field("history_newest_time", pa.timestamp("us", tz="UTC")),
        pa.field("history_hash", pa.string()),
        pa.field("types", TEXTS),
        pa.field("candidates", pa.list_(CANDIDATE)),
        pa.field("rule", pa.string()),
        pa.field("owned_item_ids", TEXTS),
        pa.field("pinned_item_ids", TEXTS),
        pa.field("boosts", pa.map_(pa.string(), pa.float64())),
        pa.field("new_item_ids", TEXTS),
    ]
)
"""The columns of the decisions in Parquet: one row, one decision. New ones come at the end."""

FIRST_COLUMNS = 26  # those that there were from the beginning
MAPS = ("removed", "boosts")
PLAIN = tuple(name for name in SCHEMA.names if name != "candidates")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """What was considered; what was offered comes first, by position, then the rest by value."""

    item_ids: Sequence[str]
    price_K: np.ndarray
    probability_KT: np.ndarray
    customer_K: np.ndarray
    company_K: np.ndarray
    value_K: np.ndarray
    muted_K: np.ndarray
    position_K: np.ndarray
    propensity_K: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedDecision:
    """One decision; the fields are those of SCHEMA."""

    decision_id: str
    customer_key: str | None = None
    decide_time: datetime
    channel: str
    placement: str = ""
    initiator: str  # of the question: CUSTOMER asked, or COMPANY would turn to the customer
    reason: str = ""  # why nothing is offered, in kebab-case; empty where something is
    detail: str = ""
    experiment: str = ""
    arm: str = ""  # of the experiment, in which this was decided
    degradation: str
    model_version: str
    policy_version: str
    k: int  # so many were asked for
    attention: float = 0.0  # what an offer costs of it
    customer_floor: float = 0.0  # nothing is offered that is worth less to the customer
    filter: str = ""
    # Those alone competed; empty: all of the catalog.
    asked_item_ids: Sequence[str] = field(default_factory=list)
    excluded_item_ids: Sequence[str] = field(default_factory=list)
    removed: Mapping[str, int] = field(default_factory=dict)  # how many items, by what removed them
    considered_count: int = 0  # candidates there were; not all of them may be logged
    history_count: int = 0
    history_newest_time: datetime | None = None
    history_hash: str = ""
    types: Sequence[str] = field(default_factory=list)
    candidates: Candidates
    rule: str = ""  # of the policy, as it was for this customer
    owned_item_ids: Sequence[str] = field(default_factory=list)  # and so kept out
    # Of the candidates:
    pinned_item_ids: Sequence[str] = field(default_factory=list)  # in their order
    boosts: Mapping[str, float] = field(default_factory=dict)  # by what values were multiplied
    new_item_ids: Sequence[str] = field(default_factory=list)  # which had the share of new items


def new_decision_id(now_ms: int | None = None) -> str:
    """32 hexadecimal digits that begin with the time, so that it is found where it was logged."""
    moment = time.time_ns() // 10**6 if now_ms is None else now_ms
    return f"{moment:0{TIME_DIGITS}x}{os.urandom(ID_BYTES - TIME_DIGITS // 2).hex()}"


def time_of(decision_id: str) -> datetime | None:
    """When a decision was made; None for a text that is no id of ours."""
    try:
        if len(bytes.fromhex(decision_id)) != ID_BYTES or len(decision_id) != 2 * ID_BYTES:
            return None
    except ValueError:
        return None
    milliseconds = int(decision_id[:TIME_DIGITS], 16)
    return datetime.fromtimestamp(min(milliseconds, LATEST_MS) / 1000, UTC)


def table_of(decisions: Sequence[LoggedDecision]) -> pa.Table:
    """Rows of SCHEMA."""
    columns = {name: [getattr(each, name) for each in decisions] for name in PLAIN}
    for name in MAPS:
        columns[name] = [list(each.items()) for each in columns[name]]
    arrays = {name: pa.array(columns[name], SCHEMA.field(name).type) for name in PLAIN}
    arrays["candidates"] = _candidate_lists([each.candidates for each in decisions])
    return pa.Table.from_arrays([arrays[name] for name in SCHEMA.names], schema=SCHEMA)


def _candidate_lists(every: Sequence[Candidates]) -> pa.Array:
    starts = np.cumsum([0, *(len(each.item_ids) for each in every)]).astype(np.int32)
    sizes = [each.probability_KT.shape for each in every]
    counts, widths = np.array(sizes, np.int64).reshape(-1, 2).T
    inner = np.concatenate([[0], np.cumsum(np.repeat(widths, counts))])
    flat = [each.probability_KT.astype(np.float32, copy=False).ravel() for each in every]
    columns = [
        pa.array(list(chain.from_iterable(each.item_ids for each in every)), pa.string()),
        _joined([each.price_K for each in every], np.float64),
        pa.ListArray.from_arrays(pa.array(inner, pa.int32()), _joined(flat, np.float32)),
        *(
            _joined([getattr(each, name) for each in every], kind)
            for name, kind in (
                ("customer_K", np.float64),
                ("company_K", np.float64),
                ("value_K", np.float64),
                ("muted_K", bool),
                ("position_K", np.int32),
                ("propensity_K", np.float64),
            )
        ),
    ]
    structs = pa.StructArray.from_arrays(columns, fields=list(CANDIDATE))
    return pa.ListArray.from_arrays(pa.array(starts), structs)


def _joined(parts: Sequence[np.ndarray], kind: type) -> pa.Array:
    return pa.array(np.concatenate([np.zeros(0, kind), *parts]).astype(kind, copy=False))


def decisions_of(table: pa.Table) -> list[LoggedDecision]:
    """The decisions in rows of SCHEMA."""
    return [_decision_of(row) for row in table.to_pylist()]


def _decision_of(row: dict[str, Any]) -> LoggedDecision:
    # What is null there has its default: it was logged before there was such a column.
    values = {name: row[name] for name in PLAIN if row[name] is not None}
    for name in values.keys() & set(MAPS):
        values[name] = dict(values[name])
    return LoggedDecision(**values, candidates=_candidates_of(row))


def _candidates_of(row: dict[str, Any]) -> Candidates:
    found: list[dict[str, Any]] = row["candidates"]
    shape = len(found), len(row["types"])

    def column(name: str, kind: type = np.float64) -> np.ndarray:
        return np.array([each[name] for each in found], kind)

    return Candidates(
        item_ids=[str(each["item_id"]) for each in found],
        price_K=column("price"),
        probability_KT=column("probabilities", np.float32).reshape(shape),
        customer_K=column("customer_value"),
        company_K=column("company_value"),
        value_K=column("value"),
        muted_K=column("muted", bool),
        position_K=column("position", np.int32),
        propensity_K=column("propensity"),
    )
