"""What SQLite holds of the log: applied positions, and a mark that goes when the file is lost."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from features.online.contract import OnlineError, gaps

TABLES = (
    "CREATE TABLE IF NOT EXISTS applied (stream TEXT PRIMARY KEY, position INTEGER)",
    "CREATE TABLE IF NOT EXISTS noted (stream TEXT, position INTEGER, "
    "PRIMARY KEY (stream, position)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS whole (one INTEGER PRIMARY KEY CHECK (one = 1), log_id TEXT)",
)
LAST_OF_RUN = (
    "WITH RECURSIVE run (position) AS (SELECT :applied UNION ALL SELECT noted.position "
    "FROM run JOIN noted ON noted.stream = :stream AND noted.position = run.position + 1) "
    "SELECT max(position) FROM run"
)


class SqliteProgress:
    """contract.Progress in SQLite: for each stream a position and what is noted behind."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Works on a connection of the online store, and creates its tables where missing."""
        self._connection = connection
        with failing_to("create its tables"):
            for table in TABLES:
                connection.execute(table)

    def applied_position(self, stream: str) -> int:
        """Up to where the store holds a stream of the log; 0 for a store that was lost."""
        query = "SELECT position FROM applied WHERE stream = ?"
        with failing_to(f"say what it holds of {stream}"):
            found = self._connection.execute(query, (stream,)).fetchone()
        return int(found[0]) if found else 0

    def advance(self, stream: str, position: int) -> None:
        """Notes that everything up to `position` has been written; call it after the writes."""
        self._note(stream, position, ())

    def note_applied(self, stream: str, positions: Sequence[int]) -> None:
        """Notes single positions, in any order; call it after the writes."""
        self._note(stream, 0, positions)

    def _note(self, stream: str, up_to: int, positions: Sequence[int]) -> None:
        doing = f"note what it holds of {stream}"
        with failing_to(doing), self._connection as connection:
            connection.execute("BEGIN IMMEDIATE")
            applied = max(up_to, self.applied_position(stream))
            connection.executemany(
                "INSERT OR IGNORE INTO noted VALUES (?, ?)", [(stream, each) for each in positions]
            )
            names = {"stream": stream, "applied": applied}
            (last,) = connection.execute(LAST_OF_RUN, names).fetchone()
            connection.execute(
                "DELETE FROM noted WHERE stream = ? AND position <= ?", (stream, last)
            )
            connection.execute("INSERT OR REPLACE INTO applied VALUES (?, ?)", (stream, last))

    def missing(self, stream: str, up_to: int, limit: int) -> list[int]:
        """The first positions up to `up_to` that nobody has noted, ascending."""
        query = "SELECT position FROM noted WHERE stream = ? ORDER BY position"
        with failing_to(f"say what it lacks of {stream}"), self._connection as connection:
            connection.execute("BEGIN")
            applied = self.applied_position(stream)
            noted = (position for (position,) in connection.execute(query, (stream,)))
            return gaps(applied, noted, up_to, limit)

    def mark_whole(self, log_id: str) -> None:
        """Notes that the store holds all that it should of a log; goes when the store is lost."""
        with failing_to("be marked as whole"), self._connection as connection:
            connection.execute("INSERT OR REPLACE INTO whole VALUES (1, ?)", (log_id,))

    def is_whole(self, log_id: str) -> bool:
        """Whether the store was marked as whole, and has not been lost since."""
        return self.marked_log() == log_id

    def marked_log(self) -> str:
        """The log of which the store holds all that it should; empty for none."""
        with failing_to("say whether it is whole"):
            found = self._connection.execute("SELECT log_id FROM whole").fetchone()
        return str(found[0]) if found else ""


@contextmanager
def failing_to(doing: str) -> Iterator[None]:
    """Raises SQLite's errors as OnlineError, saying what the store was doing."""
    try:
        yield
    except sqlite3.Error as error:
        raise OnlineError(f"SQLite could not {doing}: {error}") from error
