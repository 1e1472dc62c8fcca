"""Google Analytics 4: rows of the BigQuery export, and payloads of the Measurement Protocol.

The customer is `user_id`, the anonymous one `user_pseudo_id`, `client_id` or `app_instance_id`. An
event about several items is an interaction for each; those of view_item_list and view_promotion
were shown, and are impressions of the company. What a row of the export is told apart by is all
of what happened, as it has no id; a purchase by its transaction, as in GA4's own reports. Events
that are no interaction, such as session_start, are refused by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from features.converters.event import Event, Sender, facts, fingerprint
from features.converters.lines import Line, initiator_of, of_lines, priced
from features.interaction import Interaction

TYPES = {
    "page_view": "view",
    "screen_view": "view",
    "view_item": "view",
    "select_item": "view",
    "select_promotion": "view",
    "view_item_list": "impression",
    "view_promotion": "impression",
    "search": "search",
    "view_search_results": "search",
    "add_to_wishlist": "favorite",
    "add_to_cart": "cart-add",
    "remove_from_cart": "cart-remove",
    "purchase": "purchase",
    "refund": "return",
    "login": "identify",
    "sign_up": "identify",
}
PAGES = ("page_view", "screen_view")
CHANNELS = {"WEB": "web", "ANDROID": "app", "IOS": "app"}
NOT_SET = "(not set)"
VALUES = ("string_value", "int_value", "float_value", "double_value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One event, in whichever of the two forms it came."""

    name: str
    type: str
    customer_id: str | None
    anonymous_id: str | None
    session_id: str | None
    event_time: datetime
    channel: str
    params: Event
    items: list[Event]
    transaction_id: str | None
    identity: object  # what tells it from every other event


def convert(event: Mapping[str, Any], sender: Sender) -> list[Interaction]:
    """The interactions of an exported row, or of a payload with all its events."""
    whole = Event(event)
    if "events" in event:
        parts = whole.parts("events")
        hits = [_sent(whole, each, place, sender) for place, each in enumerate(parts)]
    else:
        hits = [_exported(whole, sender)]
    return [each for hit in hits for each in _interactions(hit, sender)]


def _exported(row: Event, sender: Sender) -> Hit:
    told = row.parts("event_params")
    params = Event({each.required_text("key"): _value(each) for each in told}, "event_params")
    event_time = row.since_1970("event_timestamp", per_second=1_000_000)
    if event_time is None:
        raise row.refused("event_timestamp", "is required")
    anonymous_id, visit = row.text("user_pseudo_id"), params.text("ga_session_id")
    transaction_id = row.part("ecommerce").text("transaction_id")
    identity = {name: row.content.get(name) for name in IDENTITY}
    return Hit(
        name=row.required_text("event_name"),
        type=_type(row, "event_name"),
        customer_id=row.text("user_id"),
        anonymous_id=anonymous_id,
        session_id=f"{anonymous_id}.{visit}" if anonymous_id and visit else visit,
        event_time=event_time,
        channel=CHANNELS.get(row.text("platform") or "", sender.channel),
        params=params,
        items=row.parts("items"),
        transaction_id=_set(transaction_id) or params.text("transaction_id"),
        identity=identity,
    )


IDENTITY = (
    *("stream_id", "user_pseudo_id", "event_name", "event_timestamp", "event_bundle_sequence_id"),
    *("batch_page_id", "batch_ordering_id", "batch_event_index", "event_params", "items"),
)
"""The columns that an export of the same day, made again, gives again."""


def _value(param: Event) -> Any:
    """The one value that a parameter of the export has, of four kinds."""
    values = param.part("value").content
    return next((values[kind] for kind in VALUES if values.get(kind) is not None), None)


def _sent(payload: Event, event: Event, place: int, sender: Sender) -> Hit:
    params = event.part("params")
    moment = event if event.content.get("timestamp_micros") is not None else payload
    event_time = moment.since_1970("timestamp_micros", per_second=1_000_000)
    if event_time is None:
        raise payload.refused("timestamp_micros", "is required: the payload says no other time")
    device = payload.text("app_instance_id")
    anonymous_id = device or payload.text("client_id")
    visit = params.text("session_id")
    return Hit(
        name=event.required_text("name"),
        type=_type(event, "name"),
        customer_id=payload.text("user_id"),
        anonymous_id=anonymous_id,
        session_id=f"{anonymous_id}.{visit}" if anonymous_id and visit else visit,
        event_time=event_time,
        channel="app" if device else sender.channel,
        params=params,
        items=params.parts("items"),
        transaction_id=params.text("transaction_id"),
        identity=(anonymous_id, event_time, place, event.content),
    )


def _type(event: Event, name: str) -> str:
    type = TYPES.get(event.required_text(name))
    if type is None:
        raise event.refused(name, f"is no interaction; those are {', '.join(TYPES)}")
    return type


def _interactions(hit: Hit, sender: Sender) -> list[Interaction]:
    page = hit.params.text("page_location") or hit.params.text("firebase_screen")
    about = Interaction(
        source=sender.source,
        interaction_id=_id(hit),
        customer_id=hit.customer_id,
        anonymous_id=hit.anonymous_id,
        session_id=hit.session_id,
        initiator=initiator_of(hit.type),
        type=hit.type,
        channel=hit.channel,
        event_time=hit.event_time,
        attributes=facts(
            query=hit.params.text("search_term"),
            transaction=hit.transaction_id,
            list=_set(hit.params.text("item_list_id")) or _set(hit.params.text("item_list_name")),
            page=page if hit.name in PAGES else None,
        ),
    )
    if hit.type == "identify" and not hit.customer_id:
        raise Event({}).refused("user_id", f"is required: {hit.name} says who the customer is")
    return of_lines(about, _lines(hit, sender))


def _id(hit: Hit) -> str:
    if hit.type == "purchase" and hit.transaction_id:
        return fingerprint("purchase", hit.anonymous_id or hit.customer_id, hit.transaction_id)
    return fingerprint(hit.identity)


def _lines(hit: Hit, sender: Sender) -> list[Line]:
    """The items; a purchase or refund without any is a line of its value."""
    currency = hit.params.text("currency") or sender.currency
    if hit.type in ("search", "identify") or hit.name in PAGES:
        return []
    if hit.name.endswith("_promotion"):
        return [Line(item_id=each) for each in _promotions(hit)]
    if hit.items:
        return [_line(each, currency) for each in hit.items]
    if hit.type in ("purchase", "return"):
        return [Line(item_id=None, amount=hit.params.number("value"), currency=currency)]
    raise hit.params.refused("items", f"is required for {hit.name}")


def _line(item: Event, currency: str | None) -> Line:
    quantity = item.number("quantity")
    told = item.number("item_revenue") or item.number("item_refund")
    index = item.text("item_list_index") if "item_list_index" in item.content else None
    place = Event({"index": _set(index) or item.content.get("index")}, item.path)
    return Line(
        item_id=_set(item.text("item_id")) or item.required_text("item_name"),
        quantity=quantity,
        amount=told or priced(item.number("price"), quantity),
        currency=item.text("currency") or currency,
        position=place.whole("index"),
    )


def _promotions(hit: Hit) -> list[str]:
    """Each promotion once, however many of its items are listed."""
    named = [_set(each.text("promotion_id")) for each in (hit.params, *hit.items)]
    found = list(dict.fromkeys(each for each in named if each))
    if not found:
        raise hit.params.refused("promotion_id", f"is required for {hit.name}")
    return found


def _set(text: str | None) -> str | None:
    return None if text == NOT_SET else text
