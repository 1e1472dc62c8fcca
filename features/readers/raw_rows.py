"""Raw rows of CSV, JSONL and Parquet files, in chunks, before they mean anything.

Columns of CSV and JSONL are texts; nested JSON objects are columns with dotted names. A row that
is broken as such (wrong number of values, no JSON, no UTF-8) is a reject.
"""

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.interaction import shown
from features.readers.reading import ROWS_A_CHUNK, UnreadableSourceError
from features.rejects import Reject

DELIMITERS = ",;\t|"
Row = dict[str, str | None]
Content = dict[str, Any]
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """A row that is none: what stands there, and what should."""

    text: str
    rule: str


@dataclass(frozen=True, slots=True)
class RawRows:
    """Consecutive rows of a file, those that could be read at all."""

    file: str
    table: pa.Table
    rows: np.ndarray  # int64, from 1
    rejects: list[Reject]


def read_raw(file: Path, format: str) -> Iterator[RawRows]:
    """All rows of a file; raises UnreadableSourceError where the file itself is broken."""
    yield from _readable(file, format, READERS[format](file))


def read_objects(file: Path) -> Iterator[Content | BrokenRow]:
    """The JSON object of each line; raises UnreadableSourceError where the file is broken."""
    yield from _readable(file, "jsonl", _json_lines(file))


def _readable(file: Path, format: str, found: Iterator[Found]) -> Iterator[Found]:
    try:
        yield from found
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise UnreadableSourceError(f"{file} cannot be read as {format}: {error}") from error


def row_count(files: list[Path], format: str) -> int | None:
    """How many rows there are, where the format tells beforehand."""
    if format != "parquet":
        return None
    try:
        return sum(pq.read_metadata(file).num_rows for file in files)
    except (OSError, pa.ArrowException) as error:
        raise UnreadableSourceError(f"{files[0]} cannot be read as parquet: {error}") from error


def _csv(file: Path) -> Iterator[RawRows]:
    with _open(file) as lines:
        first = lines.readline()
        delimiter = max(DELIMITERS, key=first.count)
        names = next(csv.reader([first], delimiter=delimiter), [])
        if len(set(names)) < max(len(names), 1):
            raise UnreadableSourceError(f"{file} has no header of distinct names: {shown(first)}")
        reader = csv.reader(lines, delimiter=delimiter)
        yield from _in_chunks(file, _csv_rows(reader, names))


def _csv_rows(reader: Any, names: list[str]) -> Iterator[Row | BrokenRow]:
    while True:
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield BrokenRow("", f"must be CSV: {error}")
            continue
        if not values:
            continue  # an empty line
        if len(values) != len(names):
            rule = f"has {len(values)} values; the header names {len(names)}"
            yield BrokenRow(",".join(values), rule)
        else:
            yield dict(zip(names, values, strict=True))


def _jsonl(file: Path) -> Iterator[RawRows]:
    found = _json_lines(file)
    yield from _in_chunks(
        file, (each if isinstance(each, BrokenRow) else dict(_flat(each, "")) for each in found)
    )


def _json_lines(file: Path) -> Iterator[Content | BrokenRow]:
    with _open(file) as lines:
        yield from (_json_object(line) for line in lines if line.strip())


def _json_object(line: str) -> Content | BrokenRow:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as error:
        return BrokenRow(line, f"must be JSON: {error}")
    if not isinstance(content, dict):
        return BrokenRow(line, "must be a JSON object")
    return content


def _flat(content: Content, prefix: str) -> Iterator[tuple[str, str | None]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is None or isinstance(value, str):
            yield prefix + key, value
        else:
            yield prefix + key, json.dumps(value)


def _parquet(file: Path) -> Iterator[RawRows]:
    with pq.ParquetFile(file) as parquet:
        end = 0
        for batch in parquet.iter_batches(ROWS_A_CHUNK):
            start, end = end, end + len(batch)
            rows = np.arange(start + 1, end + 1)
            yield RawRows(file.name, _flattened(pa.Table.from_batches([batch])), rows, [])


def _flattened(table: pa.Table) -> pa.Table:
    """Fields of structs as columns with dotted names; dictionaries as what they stand for."""
    while any(pa.types.is_struct(each.type) for each in table.schema):
        table = table.flatten()
    plain = [
        pa.field(each.name, each.type.value_type) if pa.types.is_dictionary(each.type) else each
        for each in table.schema
    ]
    return table.cast(pa.schema(plain))


READERS: dict[str, Callable[[Path], Iterator[RawRows]]] = {
    "csv": _csv,
    "parquet": _parquet,
    "jsonl": _jsonl,
}


def _open(file: Path) -> TextIO:
    """The file's text, unpacked; bytes that are no UTF-8 become surrogates, found later."""
    options: dict[str, Any] = {"encoding": "utf-8-sig", "errors": "surrogateescape", "newline": ""}
    if file.suffix == ".gz":
        return gzip.open(file, "rt", **options)
    return file.open(**options)


def _in_chunks(file: Path, found: Iterator[Row | BrokenRow]) -> Iterator[RawRows]:
    numbered = enumerate(map(_whole, found), 1)
    while chunk := list(islice(numbered, ROWS_A_CHUNK)):
        good = [(number, row) for number, row in chunk if isinstance(row, dict)]
        rejects = [
            Reject(file.name, number, "row", shown(row.text), row.rule)
            for number, row in chunk
            if isinstance(row, BrokenRow)
        ]
        numbers = np.array([number for number, _ in good], np.int64)
        yield RawRows(file.name, _table([row for _, row in good]), numbers, rejects)


def _whole(row: Row | BrokenRow) -> Row | BrokenRow:
    """The row, unless one of its values was no UTF-8."""
    if isinstance(row, dict):
        text = ",".join(value or "" for value in row.values())
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                return BrokenRow(text, "must be UTF-8")
    return row


def _table(rows: list[Row]) -> pa.Table:
    names = dict.fromkeys(name for row in rows for name in row)
    columns = [pa.array([row.get(name) for row in rows], pa.string()) for name in names]
    return pa.Table.from_arrays(columns, names=list(names))
