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


@st.composite
def messages(draw: st.DrawFn, kind: type[Message], depth: int = 0) -> Any:
    """A message of this type."""
    message: Any = kind()
    for field in kind.DESCRIPTOR.fields:
        if not draw(st.booleans()):
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            entries = draw(st.dictionaries(TEXTS, TEXTS, max_size=2))
            getattr(message, field.name).update(entries)
        elif field.message_type is not None:
            _set_message(draw, message, field, depth)
        elif field.is_repeated:
            getattr(message, field.name).extend(draw(st.lists(_value(field), max_size=3)))
        else:
            setattr(message, field.name, draw(_value(field)))
    return message


def _set_message(draw: st.DrawFn, message: Any, field: Any, depth: int) -> None:
    if depth == DEEPEST:
        return
    inner = messages(GetMessageClass(field.message_type), depth + 1)
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
