"""Segment: track, page, screen and identify calls, with the names of its e-commerce spec.

A track call about several products is an interaction for each. Amounts without a currency are US
dollars, as Segment has it, unless the import names another. The product is `product_id`, else
`sku`. Calls that are no interaction, such as Checkout Started, are refused by name.
"""

from collections.abc import Mapping
from typing import Any

from features.converters.event import Event, Sender, facts, fingerprint
from features.converters.lines import Line, initiator_of, of_lines, priced
from features.interaction import Interaction

TYPES = {
    "product viewed": "view",
    "viewed product": "view",
    "product clicked": "view",
    "promotion clicked": "view",
    "product list viewed": "impression",
    "product list filtered": "impression",
    "promotion viewed": "impression",
    "products searched": "search",
    "product added to wishlist": "favorite",
    "product added": "cart-add",
    "added product": "cart-add",
    "product removed": "cart-remove",
    "removed product": "cart-remove",
    "order completed": "purchase",
    "completed order": "purchase",
    "order refunded": "return",
    "order cancelled": "return",
    "product reviewed": "rating",
}
CALLS = {"page": "view", "screen": "view", "identify": "identify"}
CHANNELS = {"browser": "web", "mobile": "app"}
DEVICES = {"ios": "app", "android": "app"}
TIMES = ("timestamp", "originalTimestamp", "sentAt", "receivedAt")
CURRENCY = "USD"


def convert(event: Mapping[str, Any], sender: Sender) -> list[Interaction]:
    """The interactions of one call, as Segment hands it to webhooks and warehouses."""
    call = Event(event)
    properties = call.part("properties")
    type = _type(call)
    moments = (call.time(name) for name in TIMES)
    event_time = next((each for each in moments if each), None)
    if event_time is None:
        raise call.refused("timestamp", "is required")
    about = Interaction(
        source=sender.source,
        interaction_id=call.text("messageId") or fingerprint(event),
        customer_id=call.required_text("userId") if type == "identify" else call.text("userId"),
        anonymous_id=call.text("anonymousId"),
        initiator=initiator_of(type),
        type=type,
        channel=_channel(call, sender),
        event_time=event_time,
        attributes=facts(
            query=properties.text("query"),
            order=properties.text("order_id"),
            list=properties.text("list_id"),
            rating=properties.text("rating"),
            page=_page(call, properties),
        ),
    )
    return of_lines(about, _lines(call, properties, type, sender))


def _type(call: Event) -> str:
    kind = call.required_text("type")
    if kind in CALLS:
        return CALLS[kind]
    if kind != "track":
        raise call.refused("type", f"is no interaction; those are track, {', '.join(CALLS)}")
    type = TYPES.get(call.required_text("event").lower())
    if type is None:
        names = ", ".join(name.title() for name in TYPES)
        raise call.refused("event", f"is no interaction; those are {names}")
    return type


def _channel(call: Event, sender: Sender) -> str:
    device = call.part("context").part("device").text("type") or ""
    if device.lower() in DEVICES or call.text("type") == "screen":
        return "app"
    return CHANNELS.get(call.text("channel") or "", sender.channel)


def _page(call: Event, properties: Event) -> str | None:
    if call.text("type") not in ("page", "screen"):
        return None
    return call.text("name") or properties.text("path") or properties.text("url")


def _lines(call: Event, properties: Event, type: str, sender: Sender) -> list[Line]:
    """The products; an order without any is a line of its value."""
    if call.text("type") != "track" or type == "search":
        return []
    currency = properties.text("currency") or sender.currency or CURRENCY
    if promotion := properties.text("promotion_id"):
        return [Line(item_id=promotion, position=_position(properties))]
    if products := properties.parts("products"):
        return [_line(each, currency) for each in products]
    if type in ("purchase", "return"):
        told = (properties.number(name) for name in ("revenue", "total"))
        amount = next((each for each in told if each is not None), None)
        return [Line(item_id=None, amount=amount, currency=currency)]
    return [_line(properties, currency)]


def _line(product: Event, currency: str) -> Line:
    quantity = product.number("quantity")
    return Line(
        item_id=product.text("product_id") or product.text("sku") or product.required_text("id"),
        quantity=quantity,
        amount=priced(product.number("price"), quantity),
        currency=product.text("currency") or currency,
        position=_position(product),
    )


def _position(product: Event) -> int | None:
    """A place in a list; of promotions, a name such as home_banner_top, which is none."""
    place = product.content.get("position")
    digits = isinstance(place, str) and place.isdigit()
    return product.whole("position") if digits or not isinstance(place, str) else None
