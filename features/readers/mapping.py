"""The mapping: from which column, or constant, each field of an interaction comes.

A TOML file, of which any part may be absent:

    [fields]
    customer_id = "user"                                 # the column `user`
    type        = { column = "what", values = { "0" = "view", "1" = "purchase" } }
    channel     = { constant = "web" }
    event_time  = { column = "when", format = "%d.%m.%Y %H:%M", zone = "Europe/Berlin" }
    amount      = { column = "price", types = ["purchase"] }   # only rows of these types have it
    currency    = { constant = "EUR" }                   # where there is an amount

    [attributes]
    country = "country"

    [items]
    name  = "title"
    price = "price"

On the command line the same is `--map customer_id=user --set channel=web --map items.name=title`.
A field that is not named comes from the column of its own name, if there is one. Times are ISO
8601 unless a `format` (as in strptime) or a `unit` (s, ms, us, ns since 1970) is given; times
without a zone are in `zone`, which is UTC if absent. Without an interaction_id, rows are told
apart by place and content; without an initiator, the vocabulary says who begins each type.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from features.interaction import SCHEMA
from features.readers.reading import UnreadableSourceError

FIELDS = tuple(name for name in SCHEMA.names if name not in ("source", "attributes"))
SECTIONS = ("fields", "attributes", "items")
ITEM_FIELDS = ("name", "category", "brand", "price", "currency")
REQUIRED = ("type", "channel", "event_time")
UNITS = {"s": 1_000_000.0, "ms": 1_000.0, "us": 1.0, "ns": 0.001}  # in microseconds


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the values of one field come from: a column or a constant, and how to read them."""

    column: str | None = None
    constant: str | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    types: tuple[str, ...] = ()
    format: str = ""
    unit: str = ""
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """The origins of interaction fields, attributes and item fields."""

    fields: Mapping[str, Origin] = field(default_factory=dict)
    attributes: Mapping[str, Origin] = field(default_factory=dict)
    items: Mapping[str, Origin] = field(default_factory=dict)


def load_mapping(
    file: Path | None, columns: Iterable[str] = (), constants: Iterable[str] = ()
) -> FieldMapping:
    """A mapping from a TOML file, with `field=column` and `field=value` texts put over it."""
    content = _load(file) if file else {}
    if unknown := set(content) - set(SECTIONS):
        raise UnreadableSourceError(
            f"mapping: section {sorted(unknown)[0]!r} is none of {', '.join(SECTIONS)}"
        )
    given = {name: _table(name, content.get(name, {})) for name in SECTIONS}
    for kind, texts in (("column", columns), ("constant", constants)):
        for text in texts:
            section, name, value = _split(text)
            given[section][name] = {kind: value}
    return FieldMapping(
        _origins("fields", given["fields"], FIELDS),
        _origins("attributes", given["attributes"], None),
        _origins("items", given["items"], ITEM_FIELDS),
    )


def complete(mapping: FieldMapping, columns: Iterable[str], where: str) -> FieldMapping:
    """The mapping with fields named like columns added; raises where columns or fields lack."""
    there = list(columns)
    own = {name: Origin(column=name) for name in FIELDS if name in there}
    whole = FieldMapping({**own, **mapping.fields}, mapping.attributes, mapping.items)
    for section in (whole.fields, whole.attributes, whole.items):
        for name, origin in section.items():
            if origin.column is not None and origin.column not in there:
                raise UnreadableSourceError(
                    f"mapping: {name} comes from column {origin.column!r}, which {where} lacks; "
                    f"it has {', '.join(there)}"
                )
    lacking = [name for name in REQUIRED if name not in whole.fields]
    if not {"customer_id", "anonymous_id"} & set(whole.fields):
        lacking.insert(0, "customer_id (or anonymous_id)")
    if lacking:
        raise UnreadableSourceError(
            f"mapping: {', '.join(lacking)} must come from a column or a constant; "
            f"{where} has the columns {', '.join(there)}"
        )
    return whole


def _load(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise UnreadableSourceError(f"mapping: {file} cannot be read: {error}") from error


def _table(name: str, content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise UnreadableSourceError(f"mapping: {name} is {content!r}; it must be a table")
    return dict(content)


def _split(text: str) -> tuple[str, str, str]:
    """`items.name=title` or `customer_id=user`, as section, field and value."""
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise UnreadableSourceError(f"mapping: {text!r} must be field=value")
    section, dot, rest = name.partition(".")
    if dot and section in ("items", "attributes"):
        return section, rest, value
    return "fields", name, value


def _origins(
    section: str, given: Mapping[str, Any], known: tuple[str, ...] | None
) -> dict[str, Origin]:
    if known is not None and (unknown := set(given) - set(known)):
        raise UnreadableSourceError(
            f"mapping: {section} has {sorted(unknown)[0]!r}, which is none of {', '.join(known)}"
        )
    return {name: _origin(name, entry) for name, entry in given.items()}


def _origin(name: str, entry: Any) -> Origin:
    if isinstance(entry, str):
        return Origin(column=entry)
    allowed = [each.name for each in fields(Origin)]
    if not isinstance(entry, dict) or set(entry) - set(allowed):
        raise UnreadableSourceError(
            f"mapping: {name} is {entry!r}; it must be a column, or a table of {', '.join(allowed)}"
        )
    if ("column" in entry) == ("constant" in entry):
        raise UnreadableSourceError(f"mapping: {name} needs either a column or a constant")
    values = _table(f"values of {name}", entry.get("values", {}))
    types = entry.get("types", [])
    if not isinstance(types, list):
        raise UnreadableSourceError(f"mapping: types of {name} is {types!r}; it must be a list")
    texts = {key: str(entry[key]) for key in entry.keys() - {"values", "types"}}
    names = {str(key): str(value) for key, value in values.items()}
    origin = Origin(**texts, values=names, types=tuple(map(str, types)))
    _check_time(name, origin)
    return origin


def _check_time(name: str, origin: Origin) -> None:
    if origin.unit and origin.unit not in UNITS:
        raise UnreadableSourceError(
            f"mapping: unit of {name} is {origin.unit!r}; it must be one of {', '.join(UNITS)}"
        )
    try:
        ZoneInfo(origin.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnreadableSourceError(
            f"mapping: zone of {name} is {origin.zone!r}; such as Europe/Berlin would be right"
        ) from error
