"""Messages made by hypothesis: any fields set, to likely values, to limits, or to anything."""

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

DEEPEST = 3
LIKELY = (
    *("ada", "web", "app", "view", "purchase", "item-000001", "item-000002", "1", "home"),
    *("opt-in", "personalization", "purpose", "topic", "EUR", "Europe/Berlin", "identify"),
    *('category == "Running"', 'price < 100 && !("outlet" in tags)', "a" * 300, "", "\0", "é"),
)
FLOATS = (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT)
BITS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (-1, 9),
}
TEXTS = st.sampled_from(LIKELY) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ITEMS = ("item-000001", "item-000002", "item-000999", "new-item")
SOUND: dict[str, tuple[Any, ...]] = {
    "customer_id": ("ada", "bert", "customer-000001"),
    "channel": ("web", "app", "email"),
    "type": ("view", "purchase", "opt-in", "search", "service-request"),
    "source": ("shop", "crm"),
    "interaction_id": tuple(f"visit-{number}" for number in range(50)),
    "item_id": ITEMS,
    "item_ids": ITEMS,
    "candidate_item_ids": ITEMS,
    "excluded_item_ids": ITEMS,
    "filter": ("price < 100", 'category == "Running"', ""),
    "time_zone": ("Europe/Berlin", "UTC"),
    "k": (0, 1, 10, 100),
    "initiator": (0, 1, 2),
    "currency_code": ("EUR",),
    "amount": (0.0, 9.99),
    "name": ("Rye",),
    "category": ("Running", "Bread"),
    "turn": (1, 2),
    "decision_id": ("",),
    "seconds": (1_767_225_600, 1_767_225_601),
}
"""By the name of a field, what is right in it."""
WILDNESS = (0, 0, 1, 4)  # of ten fields, how many hold anything


def messages(kind: type[Message]) -> st.SearchStrategy[Any]:
    """Messages of this type, some of them sound, some nearly so, some of them wild."""
    return st.sampled_from(WILDNESS).flatmap(lambda wild: _messages(kind, wild))


@st.composite
def _messages(draw: st.DrawFn, kind: type[Message], wild: int, depth: int = 0) -> Any:
    message: Any = kind()
    for field in kind.DESCRIPTOR.fields:
        if draw(st.integers(0, 9)) < wild:
            _set_wild(draw, message, field, depth)
        else:
            _set_sound(draw, message, field, wild, depth)
    return message


def _set_sound(draw: st.DrawFn, message: Any, field: Any, wild: int, depth: int) -> None:
    """To what is right in it; it stays empty where nobody knows."""
    if field.message_type is not None and not field.message_type.GetOptions().map_entry:
        if field.name == "event_time" or draw(st.booleans()):
            _set_message(draw, message, field, wild, depth)
    elif field.name in SOUND:
        value = draw(st.sampled_from(SOUND[field.name]))
        if field.is_repeated:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)


def _set_wild(draw: st.DrawFn, message: Any, field: Any, depth: int) -> None:
    """To anything that it may hold."""
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        entries = draw(st.dictionaries(TEXTS, TEXTS, max_size=2))
        getattr(message, field.name).update(entries)
    elif field.message_type is not None:
        _set_message(draw, message, field, max(WILDNESS), depth)
    elif field.is_repeated:
        getattr(message, field.name).extend(draw(st.lists(_value(field), max_size=3)))
    else:
        setattr(message, field.name, draw(_value(field)))


def _set_message(draw: st.DrawFn, message: Any, field: Any, wild: int, depth: int) -> None:
    if depth == DEEPEST:
        return
    inner = _messages(GetMessageClass(field.message_type), wild, depth + 1)
    if field.is_repeated:
        getattr(message, field.name).extend(draw(st.lists(inner, max_size=2)))
    else:
        getattr(message, field.name).CopyFrom(draw(inner))


def _value(field: Any) -> st.SearchStrategy[Any]:
    if field.cpp_type in BITS:
        least, most = BITS[field.cpp_type]
        return st.integers(max(least, -2), min(most, 200)) | st.integers(least, most)
    if field.cpp_type in FLOATS:
        return st.floats(width=32)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    return st.binary(max_size=20) if field.type == FieldDescriptor.TYPE_BYTES else TEXTS
