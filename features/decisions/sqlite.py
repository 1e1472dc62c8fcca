"""The decision log embedded: one SQLite file, handed to the system but not synced (WAL, NORMAL)."""

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from features.decisions.contract import MAX_BYTES, Logged
from features.log.contract import LogError
from features.record import TICKS_PER_SECOND

BUSY_TIMEOUT_S = 5.0
DROPPED_AT_ONCE = 100  # oldest messages
OPENING = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA secure_delete = ON",  # erased means overwritten
    """
    CREATE TABLE IF NOT EXISTS messages (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        accept_tick INTEGER NOT NULL,
        data BLOB NOT NULL
    )
    """,
)


class SqliteStream:
    """An open decision log (features.decisions.contract.Stream)."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        """Opens the file and creates it where there is none; raises LogError."""
        self._path, self._max_bytes = path, max_bytes
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._database = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise self._failure(error) from error
        for statement in OPENING:
            self._rows(statement)

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _failure(self, error: sqlite3.Error) -> LogError:
        return LogError(f"{self._path} cannot be used as a decision log: {error}")

    def append(self, message: bytes) -> None:
        """Adds a message, and drops the oldest ones where there are too many."""
        accept_tick = time.time_ns() * TICKS_PER_SECOND // 10**9
        self._rows("INSERT INTO messages (accept_tick, data) VALUES (?, ?)", (accept_tick, message))
        if self._held_bytes() > self._max_bytes:
            self.remove_up_to(self.ends()[0] + DROPPED_AT_ONCE - 1)

    def _held_bytes(self) -> int:
        names = "page_count", "freelist_count", "page_size"
        pages, free, size = (int(self._rows(f"PRAGMA {name}")[0][0]) for name in names)
        return (pages - free) * size

    def read(self, *, after: int, limit: int) -> list[Logged]:
        """Up to `limit` messages behind a position, in order."""
        query = "SELECT * FROM messages WHERE position > ? ORDER BY position LIMIT ?"
        return [Logged(*row) for row in self._rows(query, (after, limit))]

    def ends(self) -> tuple[int, int]:
        """The positions of the oldest and of the newest message; (0, 0) where there was none."""
        ((oldest,),) = self._rows("SELECT min(position) FROM messages")
        newest = self._rows("SELECT seq FROM sqlite_sequence WHERE name = 'messages'")
        last = newest[0][0] if newest else 0
        return oldest or last, last

    def remove(self, positions: Sequence[int]) -> None:
        """Takes messages out, overwriting their bytes."""
        for each in positions:
            self._rows("DELETE FROM messages WHERE position = ?", (each,))

    def remove_up_to(self, position: int) -> None:
        """Takes out everything up to a position."""
        self._rows("DELETE FROM messages WHERE position <= ?", (position,))

    def __enter__(self) -> "SqliteStream":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._database.close()
