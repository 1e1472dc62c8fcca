"""Rows of the embedded log: how interactions and items stand in SQLite."""

import json
from collections.abc import Sequence
from dataclasses import astuple
from datetime import timedelta

from features.interaction import SCHEMA, Interaction
from features.item import ITEM_SCHEMA, Item
from features.record import EPOCH, TICKS_PER_SECOND


def row_of(each: Interaction, accept_time: int) -> tuple[object, ...]:
    """A row to insert."""
    return (*values_of(each), accept_time)


def values_of(each: Interaction) -> tuple[object, ...]:
    """The values of SCHEMA, in its order."""
    values = {name: getattr(each, name) for name in SCHEMA.names}
    values["event_time"] = (each.event_time - EPOCH) // timedelta(microseconds=1)
    values["attributes"] = json.dumps(dict(each.attributes)) if each.attributes else None
    return tuple(values.values())


def tick_of(accept_time: int) -> int:
    """From microseconds since 1970 to ticks."""
    return accept_time * TICKS_PER_SECOND // 1_000_000


def interaction_of(row: Sequence[object]) -> Interaction:
    """The opposite of values_of."""
    values = dict(zip(SCHEMA.names, row, strict=True))
    microseconds = timedelta(microseconds=int(str(values["event_time"])))
    values["event_time"] = EPOCH + microseconds
    values["attributes"] = json.loads(str(values["attributes"] or "{}"))
    return Interaction(**values)


def item_row(item: Item) -> tuple[object, ...]:
    """A row of the items, in the order of ITEM_SCHEMA."""
    return tuple(json.dumps(each) if isinstance(each, tuple) else each for each in astuple(item))


def item_of(row: Sequence[object]) -> Item:
    """The opposite."""
    values = dict(zip(ITEM_SCHEMA.names, row, strict=True))
    values["unavailable"] = bool(values["unavailable"])
    values["tags"] = tuple(json.loads(str(values["tags"])))
    return Item(**values)
