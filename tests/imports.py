"""Imports as the command makes them, for tests."""

import csv
import gzip
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from features.history.importing import Summary, import_reading
from features.readers.formats import open_source
from features.readers.mapping import FieldMapping
from features.settings import Home
from features.vocabulary import load_vocabulary

NOW = datetime(2026, 11, 22, tzinfo=UTC)
VOCABULARY = load_vocabulary()
NO_MAPPING = FieldMapping()


def run_import(path: Path, home: Home, mapping: FieldMapping = NO_MAPPING, **said: str) -> Summary:
    """Imports a path as the command does."""
    format, source = said.get("format"), said.get("source")
    reading = open_source(
        path, format=format, source=source, mapping=mapping, vocabulary=VOCABULARY
    )
    return import_reading(reading, home, vocabulary=VOCABULARY, now=NOW)


def outcome(summary: Summary) -> tuple[int, int, int, int]:
    """Rows read, accepted, duplicate, rejected."""
    return summary.read, summary.accepted, summary.duplicate, summary.rejected


def history(home: Home, columns: str) -> list[tuple]:
    """Columns of the history, in time order."""
    parts = f"{home.history}/*/*.parquet"
    return duckdb.sql(f"SELECT {columns} FROM '{parts}' ORDER BY event_time").fetchall()


def rejects(summary: Summary) -> list[list[str]]:
    """Row, field and value of each reject."""
    assert summary.reject_file is not None
    with summary.reject_file.open(newline="") as file:
        return [row[1:4] for row in csv.reader(file)][1:]


def tmall_folder(folder: Path, *rows: str) -> Path:
    """A folder with rows as in Tmall's file."""
    folder.mkdir(exist_ok=True)
    with gzip.open(folder / "interactions.csv.gz", "wt") as file:
        file.write("\n".join(["user_id,brand_id,type,visit_datetime", *rows, ""]))
    return folder
