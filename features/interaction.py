"""What an interaction is, and the one check that every interaction passes at the door."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import pyarrow as pa

from features.topic import TOPIC, faults
from features.vocabulary import Initiator, Vocabulary

MAX_ID_BYTES = 128
MAX_CHANNEL_BYTES = 64
MAX_AMOUNT = 1e12
MAX_QUANTITY = 1e9
MAX_POSITION = 1000
MAX_ATTRIBUTES = 16
MAX_KEY_BYTES = 64
MAX_VALUE_BYTES = 256
MAX_FUTURE = timedelta(minutes=5)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
ANONYMOUS = "anonymous:"

OPT_IN, OPT_OUT = "opt-in", "opt-out"
PURPOSE = "purpose"  # the attribute that says what an opt-in or opt-out is about

KEBAB_CASE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
CURRENCY = re.compile(r"[A-Z]{3}")

SCHEMA = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("interaction_id", pa.string(), nullable=False),
        pa.field("customer_id", pa.string()),
        pa.field("anonymous_id", pa.string()),
        pa.field("session_id", pa.string()),
        pa.field("initiator", pa.string(), nullable=False),
        pa.field("type", pa.string(), nullable=False),
        pa.field("channel", pa.string(), nullable=False),
        pa.field("item_id", pa.string()),
        pa.field("event_time", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("quantity", pa.float64()),
        pa.field("amount", pa.float64()),
        pa.field("currency", pa.string()),
        pa.field("decision_id", pa.string()),
        pa.field("position", pa.int32()),
        pa.field("attributes", pa.map_(pa.string(), pa.string())),
    ]
)
"""The columns of the history, in the log and in Parquet: one row, one interaction."""


class Purpose(StrEnum):
    """What data about a customer is used for, and may be allowed or refused."""

    PERSONALIZATION = "personalization"  # the history counts in decisions
    MEASUREMENT = "measurement"  # decisions and their outcomes are analysed
    CONTACT = "contact"  # the company may turn to the customer unasked


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """One event between a customer and the company; the fields are those of SCHEMA."""

    source: str
    interaction_id: str
    customer_id: str | None = None
    anonymous_id: str | None = None
    session_id: str | None = None
    initiator: str
    type: str
    channel: str
    item_id: str | None = None
    event_time: datetime
    quantity: float | None = None
    amount: float | None = None
    currency: str | None = None
    decision_id: str | None = None
    position: int | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def customer_key(self) -> str:
        """The entity key that its history is kept under."""
        return customer_key(self.customer_id, self.anonymous_id)


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule that a value breaks: the field, the value as given, and what would be right."""

    field: str
    value: str
    rule: str

    def __str__(self) -> str:
        return f"{self.field} is {self.value}: {self.rule}"


def customer_key(customer_id: str | None, anonymous_id: str | None) -> str:
    """The entity key of a customer: the id if known, else the anonymous id, marked as such."""
    return customer_id or f"{ANONYMOUS}{anonymous_id}"


def check(interaction: Interaction, *, vocabulary: Vocabulary, now: datetime) -> list[Violation]:
    """Every rule that the interaction breaks; empty if it may enter."""
    return list(_violations(interaction, vocabulary, now))


def _violations(each: Interaction, vocabulary: Vocabulary, now: datetime) -> Iterator[Violation]:
    yield from check_id("source", each.source, required=True)
    yield from check_id("interaction_id", each.interaction_id, required=True)
    yield from check_customer(each.customer_id, each.anonymous_id)
    for name in ("session_id", "item_id", "decision_id"):
        yield from check_id(name, getattr(each, name))
    if each.initiator not in Initiator.__members__:
        yield Violation("initiator", shown(each.initiator), "must be CUSTOMER or COMPANY")
    if each.type not in vocabulary.types:
        known = ", ".join(sorted(vocabulary.types))
        yield Violation("type", shown(each.type), f"unknown interaction type; known: {known}")
    yield from check_channel(each.channel)
    yield from _check_time(each.event_time, now)
    yield from _check_numbers(each, vocabulary)
    yield from _check_attributes(each.attributes)
    yield from _check_consent(each, vocabulary)


def check_customer(customer_id: str | None, anonymous_id: str | None) -> Iterator[Violation]:
    """A customer is named by either id; the prefix of anonymous keys is reserved."""
    if not customer_id and not anonymous_id:
        yield Violation("customer_id", "''", "customer_id or anonymous_id is required")
    yield from check_id("customer_id", customer_id)
    yield from check_id("anonymous_id", anonymous_id)
    if customer_id and customer_id.startswith(ANONYMOUS):
        yield Violation("customer_id", shown(customer_id), f"must not begin with {ANONYMOUS!r}")


def check_id(name: str, value: str | None, *, required: bool = False) -> Iterator[Violation]:
    """An id is 1 to 128 bytes of UTF-8 without control characters; None where it is optional."""
    if value is None and not required:
        return
    if not value:
        yield Violation(name, shown(value), "must not be empty")
    elif not value.isascii() or len(value) > MAX_ID_BYTES or not value.isprintable():
        yield from check_text(name, value, MAX_ID_BYTES)


def check_text(name: str, value: str, limit: int) -> Iterator[Violation]:
    """A text is UTF-8 of up to `limit` bytes without control characters."""
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        yield Violation(name, shown(value), "must be valid Unicode")
        return
    if size > limit:
        yield Violation(name, shown(value), f"is {size} bytes; the limit is {limit}")
    if any(ord(char) < 32 or ord(char) == 127 for char in value):
        yield Violation(name, shown(value), "must not hold control characters")


def check_channel(channel: str | None) -> Iterator[Violation]:
    """A channel is any kebab-case name of up to 64 bytes."""
    if not channel or len(channel) > MAX_CHANNEL_BYTES or not KEBAB_CASE.fullmatch(channel):
        rule = f"must be kebab-case of 1 to {MAX_CHANNEL_BYTES} bytes, such as web"
        yield Violation("channel", shown(channel), rule)


def _check_time(event_time: datetime, now: datetime) -> Iterator[Violation]:
    if event_time.tzinfo is None:
        yield Violation("event_time", event_time.isoformat(), "must have a time zone")
    elif event_time < EARLIEST:
        yield Violation("event_time", event_time.isoformat(), "must not be before the year 2000")
    elif event_time > now + MAX_FUTURE:
        rule = f"must not be more than 5 minutes after now, {now.isoformat()}"
        yield Violation("event_time", event_time.isoformat(), rule)


def _check_numbers(each: Interaction, vocabulary: Vocabulary) -> Iterator[Violation]:
    yield from check_number("quantity", each.quantity, MAX_QUANTITY)
    yield from check_money("money", each.amount, each.currency)
    yield from check_number("position", each.position, MAX_POSITION)
    declared = vocabulary.types.get(each.type)
    if each.amount is not None and declared is not None and not declared.transaction:
        yield Violation("money", repr(each.amount), f"{each.type} is no transaction: has no money")


def check_money(name: str, amount: float | None, currency: str | None) -> Iterator[Violation]:
    """Money, where given, is an amount from 0 with its ISO 4217 code."""
    yield from check_number(f"{name}.amount", amount, MAX_AMOUNT)
    if (amount is None) != (currency is None):
        value = f"{amount!r} {currency!r}"
        yield Violation(name, value, "amount and currency_code belong together")
    if currency is not None and not CURRENCY.fullmatch(currency):
        rule = "must be three capital letters, such as EUR"
        yield Violation(f"{name}.currency_code", shown(currency), rule)


def check_number(name: str, value: float | None, limit: float) -> Iterator[Violation]:
    """A number, where given, is finite and from 0 to `limit`."""
    if value is not None and not (math.isfinite(value) and 0 <= value <= limit):
        yield Violation(name, repr(value), f"must be a number from 0 to {limit:g}")


def _check_attributes(attributes: Mapping[str, str]) -> Iterator[Violation]:
    if len(attributes) > MAX_ATTRIBUTES:
        yield Violation("attributes", f"{len(attributes)} entries", f"limit is {MAX_ATTRIBUTES}")
    for key, value in attributes.items():
        yield from check_text("attributes", key, MAX_KEY_BYTES)
        yield from check_text(f"attributes[{shown(key)}]", value, MAX_VALUE_BYTES)


def _check_consent(each: Interaction, vocabulary: Vocabulary) -> Iterator[Violation]:
    """An opt-in names its purpose or topic; an opt-out may: without either it withdraws all."""
    if each.type not in (OPT_IN, OPT_OUT):
        return
    if TOPIC in each.attributes:
        yield from _check_topic(each, vocabulary)
        return
    purpose, purposes = each.attributes.get(PURPOSE), ", ".join(Purpose)
    if each.type == OPT_IN and purpose is None:
        yield Violation(f"attributes[{PURPOSE!r}]", "absent", f"an opt-in names one of {purposes}")
    elif purpose not in (None, *Purpose):
        yield Violation(f"attributes[{PURPOSE!r}]", shown(purpose), f"must be one of {purposes}")


def _check_topic(each: Interaction, vocabulary: Vocabulary) -> Iterator[Violation]:
    if PURPOSE in each.attributes:
        value, rule = shown(each.attributes[PURPOSE]), "a purpose and a topic do not go together"
        yield Violation(f"attributes[{PURPOSE!r}]", value, rule)
    mutes, said = each.type == OPT_OUT, each.event_time
    found = faults(each.attributes, mutes=mutes, said=said, vocabulary=vocabulary)
    for name, rule in found.items():
        yield Violation(f"attributes[{name!r}]", shown(each.attributes.get(name)), rule)


def shown(value: object) -> str:
    """A value as an error may show it: quoted, and cut where it is long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
