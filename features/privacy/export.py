"""The export: everything that is held of one customer, as lines of JSON.

The first line is a header, of kind customer, with a `format` that changes when a reader must. Then
come, by their `kind`: link (an anonymous id that belongs to the customer), consent (by purpose),
interaction (in time order, with all fields, from log and history, each once), feature (an
interaction as decisions see it on-line: packed, therefore rounded; newest first), attention (what
turning to the customer has spent), and decision (in time order, with all fields that have a value,
from log and parts, each once; what came of an offer, or of silence, is its `outcome`, once the
window of attribution is over). Of whom there is no consent to measurement, no decision is kept.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from features.attention import spendings
from features.decisions.decision import MAPS, NOT_OFFERED
from features.held import Held
from features.interaction import ANONYMOUS, SCHEMA, Interaction, Purpose
from features.privacy.consent import Consent
from features.privacy.customer_decisions import Outcome, Outcomes
from features.privacy.customer_history import CustomerHistory
from features.record import moment

EXPORT_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Online:
    """What is held on-line of a customer."""

    held: tuple[Held, ...]
    consent: Consent
    attention: bytes = b""  # a ledger of features.attention


Decisions = Iterable[tuple[Mapping[str, Any], Outcomes]]
"""As features.privacy.customer_decisions reads them; they are told as they come."""


def export_lines(
    history: CustomerHistory, online: Online, decisions: Decisions, *, now: datetime
) -> Iterator[str]:
    """Each line without its line break."""
    lines = _records(history, online, decisions, now)
    return (json.dumps(line, ensure_ascii=False) for line in lines)


def _records(
    history: CustomerHistory, online: Online, decisions: Decisions, now: datetime
) -> Iterator[dict[str, Any]]:
    yield _header(history, online, now)
    for each in history.anonymous_ids:
        yield {"kind": "link", "anonymous_id": each}
    for purpose in Purpose:
        allowed = online.consent.said.get(purpose)
        yield {"kind": "consent", "purpose": str(purpose), "allowed": allowed}
    for one in history.interactions:
        yield {"kind": "interaction", **_fields(one)}
    for held in online.held:
        yield {"kind": "feature", **_seen(held)}
    spent = spendings(online.attention)
    rows = zip(spent.tick.tolist(), spent.cost.tolist(), spent.shown.tolist(), strict=True)
    for tick, cost, shown in rows:
        yield {"kind": "attention", "time": _text(moment(tick)), "cost": cost, "shown": shown}
    for row, outcomes in decisions:
        yield {"kind": "decision", **_decided(row, outcomes)}


def _header(history: CustomerHistory, online: Online, now: datetime) -> dict[str, Any]:
    key = history.customer_key
    named = "anonymous_id" if key.startswith(ANONYMOUS) else "customer_id"
    return {
        "kind": "customer",
        "format": EXPORT_FORMAT,
        named: key.removeprefix(ANONYMOUS),
        "export_time": _text(now),
        "interactions": len(history.interactions),
        "features": len(online.held),
    }


def _fields(interaction: Interaction) -> Mapping[str, Any]:
    """All fields that have a value; one that is absent was not given."""
    values = {name: getattr(interaction, name) for name in SCHEMA.names}
    values["event_time"] = _text(interaction.event_time)
    values["attributes"] = dict(interaction.attributes)
    return {name: value for name, value in values.items() if value not in (None, {})}


def _seen(held: Held) -> Mapping[str, Any]:
    return {
        "event_time": _text(held.event_time),
        "initiator": str(held.initiator),
        "type": held.type,
        "channel": held.channel,
        "item_id": held.item.item_id if held.item else None,
        "approximate_amount": held.amount,
    }


def _decided(row: Mapping[str, Any], outcomes: Outcomes) -> Mapping[str, Any]:
    """All fields that have a value."""
    told = {name: value for name, value in row.items() if value not in (None, "", [])}
    key, types = told.pop("customer_key"), told.pop("types", [])
    if key.startswith(ANONYMOUS):
        told["anonymous_id"] = key.removeprefix(ANONYMOUS)
    for name in told.keys() & {"decide_time", "history_newest_time"}:
        told[name] = _text(told[name])
    for name in told.keys() & set(MAPS):
        told[name] = dict(told[name])
    if "candidates" in told:
        told["candidates"] = [_candidate(each, types, outcomes) for each in told["candidates"]]
    if None in outcomes:
        told["outcome"] = _came(outcomes[None])
    return told


def _candidate(
    candidate: dict[str, Any], types: list[str], outcomes: Outcomes
) -> Mapping[str, Any]:
    probabilities = dict(zip(types, candidate["probabilities"], strict=True))
    told = {**candidate, "probabilities": probabilities}
    if told["position"] == NOT_OFFERED:
        del told["position"]
    elif told["position"] in outcomes:
        outcome = outcomes[told["position"]]
        told["outcome"] = {"shown": outcome["shown"], **_came(outcome)}
    return told


def _came(outcome: Outcome) -> dict[str, Any]:
    values = {name: outcome[name] for name in ("customer_value", "company_value")}
    return {"type": outcome["outcome"], **values}


def _text(when: datetime) -> str:
    return when.astimezone(UTC).isoformat()
