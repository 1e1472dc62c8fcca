"""JSON lines of other systems' events: one event a line, which may be several interactions.

What is counted are interactions: an order of three products is three rows of the file's line. An
event that a converter refuses is one row, refused whole. Which channel, and which currency, events
are of that do not say so is set as constants: `--set channel=app --set currency=EUR`.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.converters import cloudevents, ga4, personalize, retail, segment
from features.converters.event import WEB, ConversionError, Sender
from features.history.partitions import as_table
from features.interaction import Interaction, shown
from features.readers.mapping import FieldMapping
from features.readers.raw_rows import BrokenRow, Content, read_objects
from features.readers.reading import (
    Chunk,
    Reading,
    Seen,
    UnreadableSourceError,
    as_items,
    in_file_order,
)
from features.readers.tabular import files_in
from features.rejects import Reject

EVENTS_A_CHUNK = 20_000
SETTABLE = ("channel", "currency")
Converter = Callable[[Mapping[str, Any], Sender], list[Interaction]]

CONVERTERS: dict[str, Converter] = {
    "cloudevents": cloudevents.convert,
    "ga4": ga4.convert,
    "segment": segment.convert,
    "personalize": personalize.convert,
    "retail": retail.convert,
}


def read(path: Path, *, format: str, source: str, mapping: FieldMapping) -> Reading:
    """The file, or all JSONL files of the folder, as events of a format."""
    files = [path] if path.is_file() else files_in(path, "jsonl")
    translation = Translation(CONVERTERS[format], _sender(format, source, mapping))
    chunks = chain.from_iterable(translation.chunks(file) for file in files)
    return Reading(source, path, chunks, translation.items)


def _sender(format: str, source: str, mapping: FieldMapping) -> Sender:
    """What the constants of the mapping say of all events."""
    constants = {name: origin.constant for name, origin in mapping.fields.items()}
    wrong = [name for name, value in constants.items() if name not in SETTABLE or value is None]
    if wrong := [*wrong, *mapping.attributes, *mapping.items]:
        raise UnreadableSourceError(
            f"mapping: {wrong[0]} is known from the events of {format}; "
            f"only {' and '.join(SETTABLE)} can be set"
        )
    channel = constants.get("channel") or WEB
    return Sender(source=source, channel=channel, currency=constants.get("currency"))


class Translation:
    """Converts chunk after chunk, and gathers which items there are."""

    def __init__(self, convert: Converter, sender: Sender) -> None:
        self._convert, self._sender = convert, sender
        self._item_ids: set[str] = set()

    def chunks(self, file: Path) -> Iterator[Chunk]:
        """The events of a file as candidate interactions."""
        seen: Seen = {}
        numbered = enumerate(map(_whole, read_objects(file)), 1)
        while events := list(islice(numbered, EVENTS_A_CHUNK)):
            yield self._translate(file.name, events, seen)

    def items(self) -> pa.Table:
        """The items that the interactions are about, of which the events tell the ids."""
        return as_items({"item_id": pa.array(sorted(self._item_ids), pa.string())})

    def _translate(
        self, file: str, events: list[tuple[int, Content | BrokenRow]], seen: Seen
    ) -> Chunk:
        found: list[tuple[int, Interaction]] = []
        rejects = []
        for row, event in events:
            converted = self._converted(file, row, event)
            if isinstance(converted, Reject):
                rejects.append(converted)
            else:
                found.extend((row, each) for each in converted)
        table = _in_order(as_table([each for _, each in found]), seen)
        self._item_ids.update(each for each in pc.unique(table["item_id"]).to_pylist() if each)
        return Chunk(table, np.array([row for row, _ in found], np.int64), file, rejects)

    def _converted(
        self, file: str, row: int, event: Content | BrokenRow
    ) -> list[Interaction] | Reject:
        if isinstance(event, BrokenRow):
            return Reject(file, row, "row", shown(event.text), event.rule)
        try:
            return self._convert(event, self._sender)
        except ConversionError as error:
            broken = error.violation
            return Reject(file, row, broken.field, broken.value, broken.rule)


def _whole(event: Content | BrokenRow) -> Content | BrokenRow:
    """The event, unless one of its texts is no Unicode."""
    if isinstance(event, dict):
        text = json.dumps(event, ensure_ascii=False)
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                return BrokenRow(text, "must be UTF-8")
    return event


def _in_order(table: pa.Table, seen: Seen) -> pa.Table:
    customers = pc.coalesce(table["customer_id"], table["anonymous_id"])
    place = table.schema.get_field_index("event_time")
    times = in_file_order(customers, table["event_time"], seen)
    return table.set_column(place, table.schema.field(place), times)
