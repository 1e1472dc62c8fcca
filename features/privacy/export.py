"""The export: everything that is held of one customer, as lines of JSON.

The first line is a header, of kind customer, with a `format` that changes when a reader must. Then
come, by their `kind`: link (an anonymous id that belongs to the customer), consent (by purpose),
interaction (in time order, with all fields, from log and history, each once), feature (an
interaction as decisions see it on-line: packed, therefore rounded; newest first), and attention
(what turning to the customer has spent).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from features.attention import spendings
from features.held import Held
from features.interaction import ANONYMOUS, SCHEMA, Interaction, Purpose
from features.privacy.consent import Consent
from features.privacy.customer_history import CustomerHistory
from features.record import moment

EXPORT_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Online:
    """What is held on-line of a customer."""

    held: tuple[Held, ...]
    consent: Consent
    attention: bytes = b""  # a ledger of features.attention


def export_lines(history: CustomerHistory, online: Online, *, now: datetime) -> Iterator[str]:
    """Each line without its line break."""
    lines = _records(history, online, now)
    return (json.dumps(line, ensure_ascii=False) for line in lines)


def _records(history: CustomerHistory, online: Online, now: datetime) -> Iterator[dict[str, Any]]:
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


def _text(when: datetime) -> str:
    return when.astimezone(UTC).isoformat()
