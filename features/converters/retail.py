"""Google Retail (Vertex AI Search for commerce): a UserEvent, as its import takes it.

The customer is `userInfo.userId`, the anonymous one `visitorId`. An event about several products
is an interaction for each; what a search or a category page listed was shown by the company. The
amounts of a purchase add up to the revenue of its transaction: shared out by price where every
product has one, else by quantity. An event has no id: what tells it apart is all it says, a
purchase its transaction.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from features.converters.event import Event, Sender, facts, fingerprint
from features.converters.lines import Line, initiator_of, of_lines, priced, shown_before
from features.interaction import Interaction

TYPES = {
    "home-page-view": "view",
    "category-page-view": "view",
    "shopping-cart-page-view": "view",
    "detail-page-view": "view",
    "search": "search",
    "add-to-cart": "cart-add",
    "remove-from-cart": "cart-remove",
    "purchase-complete": "purchase",
}
LISTS = ("search", "category-page-view")  # whose products are what was shown
PAGES = ("home-page-view", "category-page-view", "shopping-cart-page-view")


def convert(event: Mapping[str, Any], sender: Sender) -> list[Interaction]:
    """The interactions of one user event."""
    given = Event(event)
    name = given.required_text("eventType")
    if name not in TYPES:
        raise given.refused("eventType", f"is no interaction; those are {', '.join(TYPES)}")
    event_time = given.time("eventTime")
    if event_time is None:
        raise given.refused("eventTime", "is required")
    about = Interaction(
        source=sender.source,
        interaction_id=_id(given, event),
        customer_id=given.part("userInfo").text("userId"),
        anonymous_id=given.required_text("visitorId"),
        session_id=given.text("sessionId"),
        initiator=initiator_of(TYPES[name]),
        type=TYPES[name],
        channel=sender.channel,
        event_time=event_time,
        attributes=facts(
            query=given.text("searchQuery"),
            category=next(iter(given.texts("pageCategories")), None),
            cart=given.text("cartId"),
            page=name if name in PAGES else None,
        ),
    )
    products = given.parts("productDetails")
    if name in LISTS:
        ids = [each.part("product").required_text("id") for each in products]
        return [about, *shown_before(about, ids)]
    if name in PAGES:
        return [about]
    if not products:
        raise given.refused("productDetails", f"is required for {name}")
    return of_lines(about, _lines(given, products, sender))


def _id(given: Event, event: Mapping[str, Any]) -> str:
    transaction = given.part("purchaseTransaction").text("id")
    if transaction is not None:
        return fingerprint("purchase", given.text("visitorId"), transaction)
    return fingerprint(event)


def _lines(given: Event, products: Sequence[Event], sender: Sender) -> list[Line]:
    quantities = [each.number("quantity") for each in products]
    transaction = given.part("purchaseTransaction")
    amounts = _shared(transaction.number("revenue"), _prices(products, quantities), quantities)
    currency = transaction.text("currencyCode") or sender.currency
    return [
        Line(
            item_id=each.part("product").required_text("id"),
            quantity=quantity,
            amount=amount,
            currency=currency,
        )
        for each, quantity, amount in zip(products, quantities, amounts, strict=True)
    ]


def _prices(products: Sequence[Event], quantities: Sequence[float | None]) -> list[float | None]:
    """The amount of each product by its price, where the event tells the price."""
    units = [each.part("product").part("priceInfo").number("price") for each in products]
    return [priced(unit, each) for unit, each in zip(units, quantities, strict=True)]


def _shared(
    revenue: float | None, prices: Sequence[float | None], quantities: Sequence[float | None]
) -> list[float | None]:
    """The revenue, shared out over the products."""
    if revenue is None:
        return list(prices)
    weights = [each for each in prices if each is not None]
    if len(weights) < len(prices) or not sum(weights):
        weights = [1.0 if each is None else each for each in quantities]
    total = sum(weights) or len(weights)
    return [revenue * (each if sum(weights) else 1) / total for each in weights]
