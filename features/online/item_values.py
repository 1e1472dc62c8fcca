"""An item of the catalog as Feast keeps it: one value for each of its fields."""

from collections.abc import Mapping

from feast.protos.feast.types.Value_pb2 import StringList, Value

from features.item import Item


def values_of(item: Item) -> dict[str, Value]:
    """Its fields by name; a price that is not known has no value."""
    return {
        "name": Value(string_val=item.name),
        "category": Value(string_val=item.category),
        "brand": Value(string_val=item.brand),
        "price": Value() if item.price is None else Value(double_val=item.price),
        "currency": Value() if item.currency is None else Value(string_val=item.currency),
        "unavailable": Value(bool_val=item.unavailable),
        "tags": Value(string_list_val=StringList(val=item.tags)),
    }


def item_of(item_id: str, values: Mapping[str, Value]) -> Item | None:
    """The opposite; None where nothing is held."""
    if not values["unavailable"].HasField("bool_val"):
        return None
    priced = values["price"].HasField("double_val")
    return Item(
        item_id=item_id,
        name=values["name"].string_val,
        category=values["category"].string_val,
        brand=values["brand"].string_val,
        price=values["price"].double_val if priced else None,
        currency=values["currency"].string_val if priced else None,
        unavailable=values["unavailable"].bool_val,
        tags=tuple(values["tags"].string_list_val.val),
    )
