"""Any CSV, JSONL or Parquet file, or a folder of them, by a mapping of its columns."""

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from features.interaction import SCHEMA
from features.item import ITEM_SCHEMA
from features.readers.conversion import Conversion
from features.readers.mapping import FieldMapping, complete
from features.readers.raw_rows import RawRows, read_raw, row_count
from features.readers.reading import (
    Chunk,
    Reading,
    Seen,
    UnreadableSourceError,
    as_interactions,
    as_items,
    in_file_order,
    position_ids,
)
from features.readers.texts import by_distinct
from features.vocabulary import Initiator, Vocabulary

SUFFIXES = {
    "csv": (".csv", ".csv.gz", ".tsv", ".tsv.gz"),
    "parquet": (".parquet",),
    "jsonl": (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz"),
}
CUSTOMER = ("customer_id", "anonymous_id")
TEXTS = {"name", "category", "brand"}  # of an item; empty where not known
Fields = dict[str, pa.Array]


def read(
    path: Path, *, format: str, source: str, mapping: FieldMapping, vocabulary: Vocabulary
) -> Reading:
    """The file, or all files of the format in the folder, in the order of their names."""
    files = [path] if path.is_file() else files_in(path, format)
    translation = Translation(source, mapping, vocabulary)
    chunks = chain.from_iterable(translation.chunks(file, format) for file in files)
    return Reading(source, path, chunks, translation.items, row_count(files, format))


def files_in(folder: Path, format: str) -> list[Path]:
    """All files of the format in a folder, in the order of their names."""
    files = sorted(each for each in folder.iterdir() if each.name.endswith(SUFFIXES[format]))
    if not files:
        raise UnreadableSourceError(f"{folder} has no file named *{' or *'.join(SUFFIXES[format])}")
    return files


class Translation:
    """Translates chunk after chunk, and gathers the items on the way."""

    def __init__(self, source: str, mapping: FieldMapping, vocabulary: Vocabulary) -> None:
        self._source, self._mapping, self._vocabulary = source, mapping, vocabulary
        self._items = ITEM_SCHEMA.empty_table()

    def chunks(self, file: Path, format: str) -> Iterator[Chunk]:
        """The file's rows as candidate interactions."""
        seen: Seen = {}
        mapping: FieldMapping | None = None
        for raw in read_raw(file, format):
            if len(raw.table):
                mapping = mapping or complete(self._mapping, raw.table.column_names, file.name)
                yield self._translate(raw, mapping, seen)
            else:
                yield Chunk(SCHEMA.empty_table(), raw.rows, raw.file, raw.rejects)

    def items(self) -> pa.Table:
        """What the rows told about each item; of an item told of twice, the last."""
        return self._items

    def _translate(self, raw: RawRows, mapping: FieldMapping, seen: Seen) -> Chunk:
        conversion = Conversion(raw)
        fields = self._fields(conversion, mapping)
        customers = pc.coalesce(*(fields[each] for each in CUSTOMER if each in fields))
        fields["event_time"] = in_file_order(customers, fields["event_time"], seen)
        self._gather(_items(conversion, mapping, fields))
        table = as_interactions({**fields, "source": self._source}, len(raw.table))
        right = conversion.right
        rejects = [*raw.rejects, *conversion.rejects]
        return Chunk(table.filter(pa.array(right)), raw.rows[right], raw.file, rejects)

    def _fields(self, conversion: Conversion, mapping: FieldMapping) -> Fields:
        fields = {"type": conversion.column("type", mapping.fields["type"], pa.string())}
        for name, origin in mapping.fields.items():
            if name != "type":
                kind = SCHEMA.field(name).type
                fields[name] = conversion.column(name, origin, kind, types=fields["type"])
        attributes = {
            name: conversion.column(f"attributes.{name}", origin, pa.string(), types=fields["type"])
            for name, origin in mapping.attributes.items()
        }
        fields["attributes"] = _maps(attributes, len(conversion.raw.table))
        self._fill(fields, conversion, mapping)
        return fields

    def _fill(self, fields: Fields, conversion: Conversion, mapping: FieldMapping) -> None:
        """What follows from other fields where it is not given."""
        if "interaction_id" not in fields:
            fields["interaction_id"] = position_ids(conversion.texts(), conversion.raw.rows)
        if "initiator" not in fields:
            fields["initiator"] = by_distinct(fields["type"], self._initiator)
        currency = mapping.fields.get("currency")
        if currency and currency.constant and "amount" in fields:
            no_currency = pa.scalar(None, pa.string())
            priced = pc.is_valid(fields["amount"])
            fields["currency"] = pc.if_else(priced, fields["currency"], no_currency)

    def _initiator(self, type: str | None) -> str:
        """Who begins the type; of an unknown one, for which the row will be refused, anyone."""
        declared = self._vocabulary.types.get(type or "")
        return declared.initiator if declared else Initiator.CUSTOMER

    def _gather(self, items: pa.Table) -> None:
        both = pa.concat_tables([self._items, items])
        last = {item_id: place for place, item_id in enumerate(both["item_id"].to_pylist())}
        self._items = both.take(pa.array(last.values(), pa.int64()))


def _maps(texts: Mapping[str, pa.Array], length: int) -> pa.Array:
    """Rows of a map, each with the keys whose text is not null."""
    columns = [[(key, value) for value in texts[key].to_pylist()] for key in texts]
    rows = zip(*columns, strict=True) if columns else [()] * length
    pairs = [[pair for pair in row if pair[1] is not None] for row in rows]
    return pa.array(pairs, SCHEMA.field("attributes").type)


def _items(conversion: Conversion, mapping: FieldMapping, fields: Fields) -> pa.Table:
    """The items of the rows, each as often as there are rows about it, with what they tell."""
    if "item_id" not in fields:
        return ITEM_SCHEMA.empty_table()
    origins = dict(mapping.items)
    if "price" in origins and "currency" in mapping.fields:
        origins.setdefault("currency", mapping.fields["currency"])
    told = {"item_id": fields["item_id"]}
    for name, origin in origins.items():
        told[name] = conversion.column(f"items.{name}", origin, ITEM_SCHEMA.field(name).type)
    for name in TEXTS & told.keys():
        told[name] = pc.fill_null(told[name], "")
    if "price" in told and "currency" in told:
        priced = pc.is_valid(told["price"])
        told["currency"] = pc.if_else(priced, told["currency"], pa.scalar(None, pa.string()))
    usable = conversion.right & pc.is_valid(told["item_id"]).to_numpy(zero_copy_only=False)
    return as_items(told).filter(pa.array(usable))
