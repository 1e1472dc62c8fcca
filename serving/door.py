"""The door: requests become our own types, and every rule that one breaks is told at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from interplay.v1 import catalog_service_pb2 as catalog_pb
from interplay.v1 import interaction_pb2 as interaction_pb

from features.interaction import (
    MAX_CHANNEL_BYTES,
    Interaction,
    Violation,
    check,
    check_id,
    check_text,
    shown,
)
from features.item import Item, check_item
from features.policy.restraint import zone_of
from features.privacy.erasure import NO_ERASURES, Erasures
from features.record import EPOCH
from features.vocabulary import Initiator, Vocabulary
from serving.errors import InvalidError
from serving.items.catalog import Catalog
from serving.items.filters import Filter, FilterError, parse_filter

MAX_BATCH = 500
FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799  # of google.protobuf.Timestamp
NANOS_PER_SECOND = 10**9
INITIATORS = {
    interaction_pb.INITIATOR_CUSTOMER: Initiator.CUSTOMER,
    interaction_pb.INITIATOR_COMPANY: Initiator.COMPANY,
}

Customer = tuple[str | None, str | None]
"""The customer_id and the anonymous_id of a request."""


@dataclass(slots=True)
class Door:
    """Collects what a request breaks, and lets it in if that is nothing."""

    vocabulary: Vocabulary
    now: datetime
    erasures: Erasures = NO_ERASURES
    violations: list[Violation] = field(default_factory=list)

    def note(self, violations: Iterable[Violation], *, within: str = "") -> None:
        """Collects violations of the field `within`, such as "items[3]."."""
        self.violations += [replace(each, field=f"{within}{each.field}") for each in violations]

    def check_size(self, name: str, values: Sequence[object], limit: int, *, least: int) -> None:
        """A list has `least` to `limit` entries."""
        if not least <= len(values) <= limit:
            rule = f"must be {least} to {limit} entries"
            self.note([Violation(name, f"{len(values)} entries", rule)])

    def check_item_ids(
        self, name: str, item_ids: Sequence[str], limit: int, *, least: int = 0
    ) -> None:
        """A list of item ids has `least` to `limit` valid ones."""
        self.check_size(name, item_ids, limit, least=least)
        for at, item_id in enumerate(item_ids[:limit]):
            self.note(check_id(f"{name}[{at}]", item_id, required=True))

    def check_held(self, named: Mapping[str, str], catalog: Catalog) -> None:
        """The catalog holds all of these items; the keys are the fields that name them."""
        rule = "unknown item; with strict_item_ids every item must be in the catalog"
        for name, item_id in named.items():
            if item_id and not catalog.holds(item_id):
                self.note([Violation(name, shown(item_id), rule)])

    def filter_of(self, text: str, name: str = "filter") -> Filter | None:
        """What a filter says; None if it is empty, or none."""
        try:
            return parse_filter(text) if text else None
        except FilterError as error:
            self.note([Violation(name, shown(error.token), str(error))])
            return None

    def zone_of(self, name: str) -> ZoneInfo | None:
        """The time zone of this name; None if it is empty, or none."""
        self.note(check_text("time_zone", name, MAX_CHANNEL_BYTES))
        try:
            return zone_of(name) if name else None
        except ValueError as error:
            self.note([Violation("time_zone", shown(name), str(error))])
            return None

    def close(self) -> None:
        """Raises InvalidError if anything was collected."""
        if self.violations:
            raise InvalidError(self.violations)


def interactions_of(
    messages: Sequence[interaction_pb.Interaction],
    door: Door,
    *,
    least: int,
    customer: Customer | None = None,
) -> tuple[Interaction, ...]:
    """The interactions of a request; if it names a customer, they must be that one's."""
    door.check_size("interactions", messages, MAX_BATCH, least=least)
    interactions = []
    for at, message in enumerate(messages[:MAX_BATCH]):
        within = f"interactions[{at}]."
        if customer is not None:
            door.note(_stranger(message, customer), within=within)
        interaction = _interaction(message, customer or (None, None), door, within)
        door.note(check(interaction, vocabulary=door.vocabulary, now=door.now), within=within)
        if (refused := door.erasures.violation(interaction)) is not None:
            door.note([refused], within=within)
        interactions.append(interaction)
    return tuple(interactions)


def _interaction(
    message: interaction_pb.Interaction, customer: Customer, door: Door, within: str
) -> Interaction:
    declared = door.vocabulary.types.get(message.type)
    initiator: str = declared.initiator if declared else Initiator.CUSTOMER
    if message.initiator != interaction_pb.INITIATOR_UNSPECIFIED:
        initiator = INITIATORS.get(message.initiator, str(message.initiator))
    money = message.money if message.HasField("money") else None
    return Interaction(
        source=message.source,
        interaction_id=message.interaction_id,
        customer_id=message.customer_id or customer[0],
        anonymous_id=message.anonymous_id or customer[1],
        session_id=message.session_id or None,
        initiator=initiator,
        type=message.type,
        channel=message.channel,
        item_id=message.item_id or None,
        event_time=_event_time(message, door, within),
        quantity=message.quantity if message.HasField("quantity") else None,
        amount=money.amount if money is not None else None,
        currency=money.currency_code if money is not None else None,
        decision_id=message.decision_id or None,
        position=message.position if message.HasField("position") else None,
        attributes=dict(message.attributes),
    )


def _event_time(message: interaction_pb.Interaction, door: Door, within: str) -> datetime:
    given = message.event_time
    if not message.HasField("event_time"):
        door.note([Violation("event_time", "not set", "is required")], within=within)
        return door.now
    in_range = FIRST_SECOND <= given.seconds <= LAST_SECOND
    if not in_range or not 0 <= given.nanos < NANOS_PER_SECOND:
        value, rule = f"{given.seconds} s {given.nanos} ns", "must be a valid Timestamp"
        door.note([Violation("event_time", value, rule)], within=within)
        return door.now
    return EPOCH + timedelta(seconds=given.seconds, microseconds=given.nanos // 1000)


def _stranger(message: interaction_pb.Interaction, customer: Customer) -> list[Violation]:
    """An interaction with ids of its own must be of the request's customer."""
    ids = zip(("customer_id", "anonymous_id"), customer, strict=True)
    for name, asked in ids:
        given = getattr(message, name)
        if given == asked:
            return []
        if given:
            rule = f"must be the {name} of the request, {shown(asked or '')}, or left out"
            return [Violation(name, shown(given), rule)]
    return []


def items_of(messages: Sequence[catalog_pb.Item], door: Door) -> list[Item]:
    """The items to write; raises InvalidError."""
    door.check_size("items", messages, MAX_BATCH, least=1)
    items = [_item(each) for each in messages[:MAX_BATCH]]
    for at, item in enumerate(items):
        door.note(check_item(item), within=f"items[{at}].")
    door.close()
    return items


def _item(message: catalog_pb.Item) -> Item:
    price = message.price if message.HasField("price") else None
    return Item(
        item_id=message.item_id,
        name=message.name,
        category=message.category,
        brand=message.brand,
        price=price.amount if price is not None else None,
        currency=price.currency_code if price is not None else None,
        unavailable=message.unavailable,
        tags=tuple(message.tags),
    )
