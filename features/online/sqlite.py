"""Our online store embedded: Feast's SQLite store, whose history views merge what is written."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from hashlib import blake2b
from typing import Any, Literal

from feast import Entity, FeatureService, FeatureView, RepoConfig
from feast.infra.online_stores.helpers import compute_table_id
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig
from feast.infra.registry.base_registry import BaseRegistry
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.utils import to_naive_utc

from features.online.contract import (
    LATEST_TAG,
    MAX_RECORDS_TAG,
    MERGE_TAG,
    TICK_BYTES,
    MarkedResponse,
    Row,
    newest,
    stored_key,
)
from features.online.sqlite_aging import Aged, age
from features.online.sqlite_progress import SqliteProgress, failing_to
from features.privacy.aging import Aging
from features.record import RECORD_BYTES, latest, merge

BUSY_TIMEOUT_MS = 5000
STORE = "features.online.sqlite.HistorySqliteOnlineStore"
ERASED_TABLE = "CREATE TABLE IF NOT EXISTS erased (entity BLOB PRIMARY KEY, tick INTEGER NOT NULL)"


class HistorySqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    """As Feast's own SQLite configuration."""

    type: Literal[STORE] = STORE  # type: ignore[valid-type]


class HistorySqliteOnlineStore(SqliteOnlineStore):
    """SQLite online store with merge-on-write. One thread at a time; any number of processes."""

    def _get_conn(self, config: RepoConfig) -> sqlite3.Connection:
        first = self._conn is None
        connection = super()._get_conn(config)
        if first:
            connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA secure_delete = ON")  # what is erased leaves the file
            connection.execute(ERASED_TABLE)
        return connection

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Creates the tables of new views, and drops those of views that are gone."""
        changes = (tables_to_delete, tables_to_keep, entities_to_delete, entities_to_keep)
        with failing_to("set up its tables"):
            super().update(config, *changes, partial)

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Writes rows; those of a history view are merged into what is held."""
        if MERGE_TAG not in table.tags:
            with failing_to(f"write {table.name}"):
                super().online_write_batch(config, table, data, progress)
            return
        self.merge(config, table, data)
        if progress:
            progress(len(data))

    def merge(self, config: RepoConfig, table: FeatureView, data: Sequence[Row]) -> list[int]:
        """Merges rows of a history view; gives how many records of each were not held before."""
        with failing_to(f"merge into {table.name}"), self._writing(config) as connection:
            return [self._merge(connection, config, table, row) for row in data]

    def _merge(
        self, connection: sqlite3.Connection, config: RepoConfig, table: FeatureView, row: Row
    ) -> int:
        entity_key, values, written, _ = row
        name, key = _table_name(config, table), stored_key(config, entity_key)
        feature, max_records = table.tags[MERGE_TAG], int(table.tags[MAX_RECORDS_TAG])
        arriving, older_count = newest(values[feature].bytes_val, max_records)
        arriving = _after(arriving, _erased_tick(connection, key))
        held = _held(connection, name, key, feature)
        new_count = len(_records(arriving) - _records(held))
        merged = merge(held, arriving, max_records=max_records) if new_count else held
        if new_count and LATEST_TAG in table.tags:
            merged = latest(held + arriving)[-max_records * RECORD_BYTES :]
        if merged != held:
            _put(connection, name, key, feature, merged, written)
        return older_count + new_count

    def append(
        self, config: RepoConfig, table: FeatureView, data: Sequence[Row], expected: Sequence[bytes]
    ) -> list[bytes | None]:
        """Appends a record to what is held, if that is as expected; gives what was held."""
        with failing_to(f"append to {table.name}"), self._writing(config) as connection:
            return [
                self._append(connection, config, table, row, held)
                for row, held in zip(data, expected, strict=True)
            ]

    def _append(
        self,
        connection: sqlite3.Connection,
        config: RepoConfig,
        table: FeatureView,
        row: Row,
        expected: bytes,
    ) -> bytes | None:
        name, key = _table_name(config, table), stored_key(config, row[0])
        feature = table.tags[MERGE_TAG]
        record, most = row[1][feature].bytes_val, int(table.tags[MAX_RECORDS_TAG])
        if not _after(record, _erased_tick(connection, key)):
            return None
        held = _held(connection, name, key, feature)
        if held == expected:
            records = (held + record)[-most * RECORD_BYTES :]
            _put(connection, name, key, feature, records, row[2])
        return held

    def delete(
        self, config: RepoConfig, table: FeatureView, entity_keys: Sequence[EntityKey]
    ) -> None:
        """Removes all that a view holds of these entities."""
        with failing_to(f"delete from {table.name}"), self._writing(config) as connection:
            _delete(connection, config, table, entity_keys)

    def erase(
        self,
        config: RepoConfig,
        tables: Sequence[FeatureView],
        entity_keys: Sequence[EntityKey],
        before_tick: int,
    ) -> None:
        """Removes all of these entities; tombstones name them by nothing but a digest."""
        marks = [(_digest(stored_key(config, each)), before_tick) for each in entity_keys]
        with failing_to("erase customers"):
            with self._writing(config) as connection:
                for table in tables:
                    _delete(connection, config, table, entity_keys)
                connection.executemany(
                    "INSERT INTO erased VALUES (?, ?) "
                    "ON CONFLICT (entity) DO UPDATE SET tick = max(tick, excluded.tick)",
                    marks,
                )
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def get_online_features(
        self,
        config: RepoConfig,
        features: list[str] | FeatureService,
        entity_rows: Any,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        include_feature_view_version_metadata: bool = False,
    ) -> MarkedResponse:
        """As Feast's own, with the mark of a whole store as of the same moment."""
        asked = (config, features, entity_rows, registry, project, full_feature_names)
        progress = self.progress(config)
        with failing_to("read features"), self._get_conn(config) as connection:
            connection.execute("BEGIN")
            answer = super().get_online_features(*asked, include_feature_view_version_metadata)
            mark = progress.marked_log()
        return MarkedResponse(answer.proto, answer._feature_types, frozenset({mark}))

    def progress(self, config: RepoConfig) -> SqliteProgress:
        """What this store holds of the log."""
        with failing_to("be opened"):
            return SqliteProgress(self._get_conn(config))

    def drop_older(
        self,
        config: RepoConfig,
        table: FeatureView,
        aging: Aging,
        progress: Callable[[int], None],
    ) -> int:
        """Takes out what is past its time, in transactions of some customers each."""
        name, feature = _table_name(config, table), table.tags[MERGE_TAG]
        aged, count = Aged(1, 0, b""), 0
        while aged.customer_count:
            with failing_to(f"age {table.name}"), self._writing(config) as connection:
                aged = age(connection, name, feature, aged.last_key, aging)
            count += aged.removed_count
            progress(aged.customer_count)
        return count

    def drop_tombstones(self, config: RepoConfig, join_key: str, before_tick: int) -> int:
        """There are none: tombstones here are digests."""
        return 0

    @contextmanager
    def _writing(self, config: RepoConfig) -> Iterator[sqlite3.Connection]:
        with self._get_conn(config) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection


def _delete(
    connection: sqlite3.Connection,
    config: RepoConfig,
    table: FeatureView,
    entity_keys: Sequence[EntityKey],
) -> None:
    connection.executemany(
        f"DELETE FROM {_table_name(config, table)} WHERE entity_key = ?",
        [(stored_key(config, each),) for each in entity_keys],
    )


def _held(connection: sqlite3.Connection, table: str, key: bytes, feature: str) -> bytes:
    query = f"SELECT value FROM {table} WHERE entity_key = ? AND feature_name = ?"
    found = connection.execute(query, (key, feature)).fetchone()
    return bytes(Value.FromString(found[0]).bytes_val) if found else b""


def _put(
    connection: sqlite3.Connection,
    table: str,
    key: bytes,
    feature: str,
    records: bytes,
    written: datetime,
) -> None:
    connection.execute(
        f"INSERT INTO {table} (entity_key, feature_name, value, event_ts) "
        "VALUES (?, ?, ?, ?) ON CONFLICT (entity_key, feature_name) "
        "DO UPDATE SET value = excluded.value, event_ts = excluded.event_ts",
        (key, feature, Value(bytes_val=records).SerializeToString(), to_naive_utc(written)),
    )


def _erased_tick(connection: sqlite3.Connection, key: bytes) -> int:
    query = "SELECT tick FROM erased WHERE entity = ?"
    found = connection.execute(query, (_digest(key),)).fetchone()
    return int(found[0]) if found else -1


def _digest(key: bytes) -> bytes:
    return blake2b(key, digest_size=16).digest()


def _after(records: bytes, tick: int) -> bytes:
    """The records, which ascend, behind a tick."""
    starts = range(0, len(records), RECORD_BYTES)
    late = (at for at in starts if int.from_bytes(records[at : at + TICK_BYTES], "big") > tick)
    return records[next(late, len(records)) :]


def _records(blob: bytes) -> set[bytes]:
    return {blob[at : at + RECORD_BYTES] for at in range(0, len(blob), RECORD_BYTES)}


def _table_name(config: RepoConfig, table: FeatureView) -> str:
    versioned = config.registry.enable_online_feature_view_versioning
    return f'"{compute_table_id(config.project, table, versioned)}"'
