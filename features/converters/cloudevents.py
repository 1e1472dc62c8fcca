"""CloudEvents 1.0 in JSON structured mode, with an interaction of ours as data.

The envelope gives three fields of the interaction: `id` is the interaction_id, `source` the
source, `time` the event_time. The type is what follows the last dot of `type`, as in
com.example.shop.cart-add, unless the data names one. All other fields stand in `data` under
their names in the API, in snake_case or camelCase (`customer_id` or `customerId`, and `money` with
`currency_code` and `amount`), or in extension attributes of the same names without underscores:

    customerid anonymousid sessionid initiator channel itemid decisionid   texts
    quantity amount currencycode                                           texts or numbers
    position                                                               a whole number

What the data says goes before an extension; `subject` is the item where no other is named.
"""

import json
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import Any

from features.converters.event import Event, Sender
from features.converters.lines import initiator_of
from features.interaction import Interaction
from features.vocabulary import Initiator

VERSION = "1.0"
PREFIX = "INITIATOR_"  # of the enumeration in the API


def convert(event: Mapping[str, Any], sender: Sender) -> list[Interaction]:
    """The one interaction of a cloud event; `sender` says only what neither part of it does."""
    envelope = Event(event)
    if envelope.required_text("specversion") != VERSION:
        raise envelope.refused("specversion", f"must be {VERSION!r}")
    fields = _fields(envelope)
    money = Event(_plain(fields.part("money").content), "data.money")
    amount = _first(money.number("amount"), fields.number("amount"))
    named = money.text("currencycode") or fields.text("currencycode") or sender.currency
    type = fields.text("type") or envelope.required_text("type").rpartition(".")[2]
    event_time = envelope.time("time") or fields.time("eventtime")
    if event_time is None:
        raise envelope.refused("time", "is required")
    interaction = Interaction(
        source=envelope.required_text("source"),
        interaction_id=envelope.required_text("id"),
        customer_id=fields.text("customerid"),
        anonymous_id=fields.text("anonymousid"),
        session_id=fields.text("sessionid"),
        initiator=_initiator(fields) or initiator_of(type),
        type=type,
        channel=fields.text("channel") or sender.channel,
        item_id=fields.text("itemid") or envelope.text("subject"),
        event_time=event_time,
        quantity=fields.number("quantity"),
        amount=amount,
        currency=None if amount is None else named,
        decision_id=fields.text("decisionid"),
        position=fields.whole("position"),
        attributes=_attributes(fields),
    )
    return [interaction]


def _fields(envelope: Event) -> Event:
    """What data and extensions say, under names without case and underscores."""
    own = {"id", "source", "type", "time", "data", "subject", "specversion"}
    extensions = {name: value for name, value in envelope.content.items() if name not in own}
    return Event({**extensions, **_plain(_data(envelope))}, "data")


def _plain(content: Mapping[str, Any]) -> dict[str, Any]:
    return {name.replace("_", "").lower(): value for name, value in content.items()}


def _data(envelope: Event) -> Mapping[str, Any]:
    kind = (envelope.text("datacontenttype") or "application/json").partition(";")[0].strip()
    if not kind.endswith(("/json", "+json")):
        raise envelope.refused("datacontenttype", "must be application/json")
    packed = envelope.text("data_base64")
    if packed is None:
        return envelope.part("data").content
    try:
        content = json.loads(b64decode(packed, validate=True))
    except (Base64Error, ValueError):
        raise envelope.refused("data_base64", "must be JSON, in Base64") from None
    return Event({"data_base64": content}).part("data_base64").content


def _initiator(fields: Event) -> str | None:
    """CUSTOMER or COMPANY, also as the API spells them; None where the type decides."""
    named = (fields.text("initiator") or "").removeprefix(PREFIX)
    if named in ("", "UNSPECIFIED"):
        return None
    if named not in Initiator.__members__:
        raise fields.refused("initiator", "must be CUSTOMER or COMPANY")
    return named


def _attributes(fields: Event) -> dict[str, str]:
    given = fields.part("attributes")
    return {name: given.text(name) or "" for name in given.content}


def _first(one: float | None, other: float | None) -> float | None:
    return other if one is None else one
