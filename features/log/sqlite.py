"""The durable log embedded: one SQLite file, synced before a call returns (WAL mode, FULL)."""

import json
import sqlite3
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from features.interaction import SCHEMA, Interaction
from features.item import ITEM_SCHEMA, Item
from features.log.contract import Appended, Entry, Heard, ItemChange, LogError, Wanted
from features.log.listening import Listening
from features.log.pokes import Pokes
from features.log.sqlite_rows import interaction_of, item_of, item_row, row_of, tick_of, values_of

BUSY_TIMEOUT_S = 5.0

COLUMNS = ", ".join(f"{each.name}{'' if each.nullable else ' NOT NULL'}" for each in SCHEMA)
TABLES = f"""
CREATE TABLE IF NOT EXISTS interactions (
    log_position INTEGER PRIMARY KEY AUTOINCREMENT,
    {COLUMNS},
    accept_time INTEGER NOT NULL,
    UNIQUE (source, interaction_id)
);
CREATE TABLE IF NOT EXISTS items ({", ".join(ITEM_SCHEMA.names)}, PRIMARY KEY (item_id));
CREATE TABLE IF NOT EXISTS item_changes (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    item_id TEXT NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS loaded_parts (part TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS drained (position INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS identity (log_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS erasures (name TEXT PRIMARY KEY, tick INTEGER NOT NULL);
"""
INSERT = (
    f"INSERT INTO interactions ({', '.join(SCHEMA.names)}, accept_time) "
    f"VALUES ({', '.join('?' * (len(SCHEMA.names) + 1))}) "
    "ON CONFLICT (source, interaction_id) DO NOTHING"
)
SELECT = f"SELECT log_position, accept_time, {', '.join(SCHEMA.names)} FROM interactions"
UPSERT_ITEM = f"INSERT OR REPLACE INTO items VALUES ({', '.join('?' * len(ITEM_SCHEMA.names))})"
NOTE_CHANGE = "INSERT OR REPLACE INTO item_changes (item_id) VALUES (?)"

NOTE_ERASURE = (
    "INSERT INTO erasures VALUES (?, ?) "
    "ON CONFLICT (name) DO UPDATE SET tick = max(tick, excluded.tick)"
)
NAMING = "customer_id = ? OR anonymous_id IN (SELECT value FROM json_each(?))"
CHANGE = (
    f"UPDATE interactions SET ({', '.join(SCHEMA.names)}) = "
    f"({', '.join('?' * len(SCHEMA.names))}) WHERE log_position = ?"
)
ENTRIES_A_REWRITE = 5000  # judged between two transactions: other writers do not wait long


class SqliteLog:
    """An open log (features.log.contract.Log). One thread at a time; any number of processes."""

    embedded = True

    def __init__(self, path: Path) -> None:
        """Opens the log and creates it where there is none; raises LogError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._listeners = path, path.with_name(f"{path.name}-listeners")
        try:
            self._database = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
        except sqlite3.Error as error:
            raise LogError(f"{path} cannot be opened as a log: {error}") from error
        self.log_id = self._create()
        self._pokes = Pokes(self._listeners)

    def _create(self) -> str:
        with _Transaction(self._database):
            for statement in filter(str.strip, TABLES.split(";")):
                self._database.execute(statement)
            found = self._database.execute("SELECT log_id FROM identity").fetchone()
            log_id = found[0] if found else uuid.uuid4().hex
            if not found:
                self._database.execute("INSERT INTO identity VALUES (?)", (log_id,))
        return str(log_id)

    def append(self, batches: Sequence[Sequence[Interaction]]) -> list[Appended]:
        """Writes the interactions of several calls as one transaction, synced to disk.

        An interaction whose (source, interaction_id) the log holds is left alone and counted
        as a duplicate. Raises LogError; then nothing was written.
        """
        accept_time = time.time_ns() // 1000
        with _Transaction(self._database):
            appended = [self._append(batch, accept_time) for batch in batches]
        self._pokes.poke()
        return appended

    def _append(self, batch: Sequence[Interaction], accept_time: int) -> Appended:
        before = self._database.total_changes
        self._database.executemany(INSERT, (row_of(each, accept_time) for each in batch))
        accepted = self._database.total_changes - before
        position = self.last_position() if accepted else 0
        return Appended(accepted, len(batch) - accepted, position)

    def read(self, *, after: int, limit: int) -> list[Entry]:
        """Up to `limit` entries behind position `after`, in order."""
        query = f"{SELECT} WHERE log_position > ? ORDER BY log_position LIMIT ?"
        return self._entries(query, (after, limit))

    def read_at(self, positions: Sequence[int]) -> list[Entry]:
        """The entries at these positions, in order; what was removed is passed over."""
        marks = ", ".join("?" * len(positions))
        query = f"{SELECT} WHERE log_position IN ({marks}) ORDER BY log_position"
        return self._entries(query, positions)

    def _entries(self, query: str, values: Sequence[int]) -> list[Entry]:
        rows = self._database.execute(query, values)
        return [Entry(row[0], interaction_of(row[2:]), tick_of(row[1])) for row in rows]

    def last_position(self) -> int:
        """The position of the newest entry; 0 for an empty log."""
        newest = self._database.execute("SELECT max(log_position) FROM interactions").fetchone()[0]
        return newest or 0

    def upsert_items(self, items: Sequence[Item], *, part: str | None = None) -> None:
        """Writes items durably, all or none; `part` remembers where imported ones came from."""
        with _Transaction(self._database):
            self._database.executemany(UPSERT_ITEM, (item_row(each) for each in items))
            self._database.executemany(NOTE_CHANGE, ((each.item_id,) for each in items))
            if part is not None:
                self._database.execute("INSERT OR REPLACE INTO loaded_parts VALUES (?)", (part,))

    def delete_items(self, item_ids: Sequence[str]) -> list[str]:
        """Deletes items durably; gives the ids that the catalog held."""
        with _Transaction(self._database):
            held = [each for each in dict.fromkeys(item_ids) if self.get_item(each) is not None]
            keys = [(each,) for each in held]
            self._database.executemany("DELETE FROM items WHERE item_id = ?", keys)
            self._database.executemany(NOTE_CHANGE, keys)
        return held

    def get_item(self, item_id: str) -> Item | None:
        """One item of the catalog."""
        found = self._database.execute("SELECT * FROM items WHERE item_id = ?", (item_id,))
        row = found.fetchone()
        return item_of(row) if row else None

    def items(self) -> Iterator[Item]:
        """The whole catalog, in the order of item ids."""
        return map(item_of, self._database.execute("SELECT * FROM items ORDER BY item_id"))

    def changed_items(self, *, after: int, limit: int) -> list[ItemChange]:
        """Up to `limit` items written or deleted behind position `after`, in order."""
        rows = self._database.execute(
            "SELECT position, item_changes.item_id, items.* FROM item_changes "
            "LEFT JOIN items USING (item_id) WHERE position > ? ORDER BY position LIMIT ?",
            (after, limit),
        )
        return [ItemChange(row[0], row[1], item_of(row[2:]) if row[2] else None) for row in rows]

    def last_item_change(self) -> int:
        """The position of the newest change of an item; 0 where there is none."""
        newest = self._database.execute("SELECT max(position) FROM item_changes").fetchone()[0]
        return newest or 0

    def loaded_parts(self) -> set[str]:
        """The names given to upsert_items as `part`."""
        return {part for (part,) in self._database.execute("SELECT part FROM loaded_parts")}

    def drained_position(self) -> int:
        """Up to where the history holds the log."""
        return self._database.execute("SELECT max(position) FROM drained").fetchone()[0] or 0

    def note_drained(self, position: int) -> None:
        """Notes, durably, that the history holds the log up to `position`."""
        with _Transaction(self._database):
            self._database.execute("DELETE FROM drained")
            self._database.execute("INSERT INTO drained VALUES (?)", (position,))

    def interactions_of(
        self, customer_id: str | None, anonymous_ids: Collection[str]
    ) -> list[Interaction]:
        """Every interaction that names one of these ids, in the log's order."""
        rows = self._database.execute(
            f"SELECT {', '.join(SCHEMA.names)} FROM interactions WHERE {NAMING} "
            "ORDER BY log_position",
            (customer_id, json.dumps(list(anonymous_ids))),
        )
        return [interaction_of(row) for row in rows]

    def note_erasure(self, name: str, tick: int) -> None:
        """Notes, durably, that nothing up to `tick` is kept of a customer; see privacy.erasure."""
        with _Transaction(self._database):
            self._database.execute(NOTE_ERASURE, (name, tick))

    def erasures(self) -> dict[str, int]:
        """The newest tick of note_erasure for each name."""
        return dict(self._database.execute("SELECT name, tick FROM erasures").fetchall())

    def listen(self, wanted: Wanted, heard: Heard) -> Callable[[], None]:
        """Tells of what anybody appends from now on; gives what ends that."""
        return Listening(SqliteLog(self._path), self._listeners, wanted, heard).close

    def rewrite(
        self,
        kept: Callable[[Interaction], Interaction | None],
        *,
        progress: Callable[[int], None] = lambda count: None,
    ) -> int:
        """Takes out what `kept` gives None for, overwriting its bytes; changes what it changes."""
        self._database.execute("PRAGMA secure_delete = ON")
        count, position = 0, 0
        while entries := self.read(after=position, limit=ENTRIES_A_REWRITE):
            judged = [(each, kept(each.interaction)) for each in entries]
            count += self._exchange([one for one in judged if one[1] is not one[0].interaction])
            position = entries[-1].position
            progress(len(entries))
        return count

    def _exchange(self, judged: Sequence[tuple[Entry, Interaction | None]]) -> int:
        if judged:
            gone = [(entry.position,) for entry, now in judged if now is None]
            changed = [(*values_of(now), each.position) for each, now in judged if now]
            with _Transaction(self._database):
                self._database.executemany("DELETE FROM interactions WHERE log_position = ?", gone)
                self._database.executemany(CHANGE, changed)
        return len(judged)

    def __enter__(self) -> "SqliteLog":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._database.close()
        self._pokes.close()


class _Transaction:
    """BEGIN IMMEDIATE ... COMMIT; any failure rolls back and becomes a LogError."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._run("BEGIN IMMEDIATE")

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if error is None:
            self._run("COMMIT")
            return
        self._roll_back()
        if isinstance(error, sqlite3.Error):
            raise LogError(f"the log cannot be written: {error}") from error

    def _run(self, statement: str) -> None:
        try:
            self._database.execute(statement)
        except sqlite3.Error as error:
            self._roll_back()
            raise LogError(f"the log cannot be written: {error}") from error

    def _roll_back(self) -> None:
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")
