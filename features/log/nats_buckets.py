"""What stands in the key-value buckets of NATS: items as values, and any name as a key."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import asdict

from features.item import Item


def item_row(item: Item) -> bytes:
    """An item as a value."""
    row = {name: value for name, value in asdict(item).items() if value not in ("", None, ())}
    return json.dumps(row, ensure_ascii=False).encode()


def item_of(row: bytes) -> Item:
    """The item that a value is."""
    values = json.loads(row)
    return Item(**values | {"tags": tuple(values.get("tags", ()))})


def key_of(name: str) -> str:
    """Any name in the letters that a key of a bucket may have."""
    return urlsafe_b64encode(name.encode()).decode().rstrip("=")


def name_of(key: str) -> str:
    """The name that a key stands for."""
    return urlsafe_b64decode(key + "=" * (-len(key) % 4)).decode()
