"""Topics: what a customer may want no more of, or have again, as an interaction names it.

category:Running   brand:Alpina   item:item-7   type:rating   channel:email   everything
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from features.vocabulary import Vocabulary

TOPIC, UNTIL = "topic", "until"  # attributes of an opt-out or opt-in
MAX_PAUSE = timedelta(days=1000)


class Kind(StrEnum):
    """What a topic is of."""

    CATEGORY = "category"
    BRAND = "brand"
    ITEM = "item"
    TYPE = "type"
    CHANNEL = "channel"
    EVERYTHING = "everything"  # for a time: a pause


@dataclass(frozen=True, slots=True)
class Topic:
    """One of them."""

    kind: Kind
    name: str = ""

    def __str__(self) -> str:
        """As the attribute has it."""
        return f"{self.kind}:{self.name}" if self.kind is not Kind.EVERYTHING else str(self.kind)


EVERYTHING = Topic(Kind.EVERYTHING)


def parse_topic(text: str) -> Topic:
    """What an attribute names; raises ValueError with the rule."""
    if text == Kind.EVERYTHING:
        return EVERYTHING
    kind, colon, name = text.partition(":")
    if kind in tuple(Kind) and kind != Kind.EVERYTHING and colon and name:
        return Topic(Kind(kind), name)
    named = ", ".join(f"{each}:NAME" for each in Kind if each is not Kind.EVERYTHING)
    raise ValueError(f"must be {named}, or everything")


def pause_end(attributes: Mapping[str, str]) -> datetime:
    """When a pause ends; raises ValueError with the rule."""
    rule = "must be a time with its zone, such as 2027-01-31T08:00:00+00:00"
    try:
        end = datetime.fromisoformat(attributes.get(UNTIL, ""))
    except ValueError:
        raise ValueError(rule) from None
    if end.tzinfo is None:
        raise ValueError(rule)
    return end


def faults(
    attributes: Mapping[str, str], *, mutes: bool, said: datetime, vocabulary: Vocabulary
) -> Mapping[str, str]:
    """What is wrong with the attributes that name a topic: the rule that each one breaks."""
    try:
        topic = parse_topic(attributes[TOPIC])
    except ValueError as error:
        return {TOPIC: str(error)}
    if topic.kind is Kind.TYPE and topic.name not in vocabulary.types:
        return {TOPIC: f"unknown interaction type; known: {', '.join(sorted(vocabulary.types))}"}
    if topic != EVERYTHING or not mutes:
        return {}
    try:
        end = pause_end(attributes)
    except ValueError as error:
        return {UNTIL: str(error)}
    limit = f"must be at most {MAX_PAUSE.days:,} days after it is said"
    return {UNTIL: limit} if said.tzinfo and end > said + MAX_PAUSE else {}
