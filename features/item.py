"""What an item is: anything an interaction can be about, and the check it passes at the door."""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from features.interaction import (
    MAX_ID_BYTES,
    Violation,
    check_id,
    check_money,
    check_text,
)

MAX_NAME_BYTES = 256
MAX_TAGS = 32
MAX_TAG_BYTES = 64

ITEM_SCHEMA = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("category", pa.string(), nullable=False),
        pa.field("brand", pa.string(), nullable=False),
        pa.field("price", pa.float64()),
        pa.field("currency", pa.string()),
        pa.field("unavailable", pa.bool_(), nullable=False),
        pa.field("tags", pa.list_(pa.string()), nullable=False),
    ]
)
"""The columns of the catalog; an empty string means not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Product, offer, content or service action; the fields are those of ITEM_SCHEMA."""

    item_id: str
    name: str = ""
    category: str = ""
    brand: str = ""
    price: float | None = None
    currency: str | None = None
    unavailable: bool = False
    tags: tuple[str, ...] = ()


def check_item(item: Item) -> list[Violation]:
    """Every rule that the item breaks; empty if it may enter."""
    return list(_violations(item))


def _violations(item: Item) -> Iterator[Violation]:
    yield from check_id("item_id", item.item_id, required=True)
    yield from check_text("name", item.name, MAX_NAME_BYTES)
    yield from check_text("category", item.category, MAX_ID_BYTES)
    yield from check_text("brand", item.brand, MAX_ID_BYTES)
    yield from check_money("price", item.price, item.currency)
    if len(item.tags) > MAX_TAGS:
        yield Violation("tags", f"{len(item.tags)} tags", f"the limit is {MAX_TAGS}")
    for tag in item.tags:
        yield from check_text("tags", tag, MAX_TAG_BYTES)
