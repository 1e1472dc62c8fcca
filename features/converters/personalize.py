"""Amazon Personalize: a PutEvents request, each event of its list an interaction.

The customer is `userId`; before a login the session stands for the customer, as it does there.
An event's `impression` list was shown by the company, and is an impression for each item. Event
types are free texts there: those of its e-commerce and video use cases and the names of our own
types are known. A purchase's eventValue is its amount if the import names the currency; every
other value is an attribute. Items may also stand in `properties`, as they did in its first version.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from features.converters.event import ConversionError, Event, Sender, facts, fingerprint
from features.converters.lines import initiator_of, shown_before
from features.interaction import Interaction

TYPES = {
    "view": "view",
    "click": "view",
    "watch": "view",
    "detailview": "view",
    "productview": "view",
    "viewproduct": "view",
    "impression": "impression",
    "search": "search",
    "like": "favorite",
    "favorite": "favorite",
    "addtowishlist": "favorite",
    "cartadd": "cart-add",
    "addtocart": "cart-add",
    "productadded": "cart-add",
    "cartremove": "cart-remove",
    "removefromcart": "cart-remove",
    "purchase": "purchase",
    "orderplaced": "purchase",
    "return": "return",
    "refund": "return",
    "rating": "rating",
    "rate": "rating",
    "dislike": "dismissal",
    "dismissal": "dismissal",
    "complaint": "complaint",
}
NUMBER = re.compile(r"\d+(\.\d+)?")


def convert(event: Mapping[str, Any], sender: Sender) -> list[Interaction]:
    """The interactions of one request; a request with an event that is none gives none."""
    request = Event(event)
    events = request.parts("eventList")
    if not events:
        raise request.refused("eventList", "must hold 1 to 10 events")
    return [
        interaction
        for place, each in enumerate(events)
        for interaction in _interactions(request, each, place, sender)
    ]


def _interactions(request: Event, event: Event, place: int, sender: Sender) -> list[Interaction]:
    session_id, properties = request.required_text("sessionId"), _properties(event)
    type = _type(event)
    value = event.number("eventValue")
    value = _number(properties, "eventValue") if value is None else value
    paid = type in ("purchase", "return") and value is not None and sender.currency is not None
    identity = (session_id, request.text("userId"), place, event.content)
    about = Interaction(
        source=sender.source,
        interaction_id=event.text("eventId") or fingerprint(identity),
        customer_id=request.text("userId"),
        anonymous_id=session_id,
        session_id=session_id,
        initiator=initiator_of(type),
        type=type,
        channel=sender.channel,
        item_id=event.text("itemId") or properties.text("itemId"),
        event_time=_sent(event),
        amount=value if paid else None,
        currency=sender.currency if paid else None,
        decision_id=event.text("recommendationId"),
        attributes=facts(value=None if paid or value is None else f"{value:g}"),
    )
    return [*shown_before(about, event.texts("impression")), about]


def _type(event: Event) -> str:
    plain = re.sub("[^a-z]", "", event.required_text("eventType").lower())
    type = TYPES.get(plain)
    if type is None:
        raise event.refused("eventType", f"is no interaction; those are {', '.join(TYPES)}")
    return type


def _sent(event: Event) -> datetime:
    """Seconds since 1970, as the service takes it, or a time as in ISO 8601, as its CLI does."""
    given = event.content.get("sentAt")
    if isinstance(given, str) and not NUMBER.fullmatch(given):
        moment = event.time("sentAt")
    else:
        moment = event.since_1970("sentAt", per_second=1)
    if moment is None:
        raise event.refused("sentAt", "is required")
    return moment


def _properties(event: Event) -> Event:
    """A JSON object, which the service takes as a text."""
    given = event.content.get("properties")
    if not isinstance(given, str) or not given:
        return event.part("properties")
    try:
        content = json.loads(given)
    except ValueError:
        raise event.refused("properties", "must be JSON") from None
    return Event({"properties": content}, event.path).part("properties")


def _number(properties: Event, name: str) -> float | None:
    """A value that need not be one there: `true` is as good as 3.5."""
    try:
        return properties.number(name)
    except ConversionError:
        return None
