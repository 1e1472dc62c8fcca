"""Our online store embedded: Feast's SQLite store, whose history views merge what is written."""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Literal

from feast import FeatureView, RepoConfig
from feast.infra.online_stores.helpers import compute_table_id
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.utils import to_naive_utc

from features.online import MAX_RECORDS_TAG, MERGE_TAG, Row, stored_key
from features.record import merge

BUSY_TIMEOUT_MS = 5000
STORE = "features.online_sqlite.HistorySqliteOnlineStore"


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
        return connection

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Writes rows; those of a history view are merged into what is held."""
        if MERGE_TAG not in table.tags:
            super().online_write_batch(config, table, data, progress)
            return
        connection = self._get_conn(config)
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            for entity_key, values, written, _ in data:
                key = stored_key(config, entity_key)
                self._merge(config, table, key, values[table.tags[MERGE_TAG]], written)
        if progress:
            progress(len(data))

    def _merge(
        self, config: RepoConfig, table: FeatureView, key: bytes, arriving: Value, written: datetime
    ) -> None:
        connection, name = self._get_conn(config), _table_name(config, table)
        feature, max_records = table.tags[MERGE_TAG], int(table.tags[MAX_RECORDS_TAG])
        held = Value()
        query = f"SELECT value FROM {name} WHERE entity_key = ? AND feature_name = ?"
        if found := connection.execute(query, (key, feature)).fetchone():
            held.ParseFromString(found[0])
        merged = merge(held.bytes_val, arriving.bytes_val, max_records=max_records)
        connection.execute(
            f"INSERT INTO {name} (entity_key, feature_name, value, event_ts) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (entity_key, feature_name) "
            "DO UPDATE SET value = excluded.value, event_ts = excluded.event_ts",
            (key, feature, Value(bytes_val=merged).SerializeToString(), to_naive_utc(written)),
        )

    def delete(
        self, config: RepoConfig, table: FeatureView, entity_keys: Sequence[EntityKey]
    ) -> None:
        """Removes all that a view holds of these entities."""
        connection = self._get_conn(config)
        with connection:
            connection.executemany(
                f"DELETE FROM {_table_name(config, table)} WHERE entity_key = ?",
                [(stored_key(config, each),) for each in entity_keys],
            )

    def applied_position(self, config: RepoConfig, stream: str) -> int:
        """Up to where this store holds a stream of the log; 0 for a store that was lost."""
        connection = self._get_conn(config)
        connection.execute(APPLIED_TABLE)
        query = "SELECT position FROM applied WHERE stream = ?"
        found = connection.execute(query, (stream,)).fetchone()
        return int(found[0]) if found else 0

    def advance(self, config: RepoConfig, stream: str, position: int) -> None:
        """Notes that everything up to `position` has been written; call it after the writes."""
        connection = self._get_conn(config)
        with connection:
            connection.execute(APPLIED_TABLE)
            connection.execute(
                "INSERT INTO applied VALUES (?, ?) ON CONFLICT (stream) "
                "DO UPDATE SET position = max(position, excluded.position)",
                (stream, position),
            )


APPLIED_TABLE = "CREATE TABLE IF NOT EXISTS applied (stream TEXT PRIMARY KEY, position INTEGER)"


def _table_name(config: RepoConfig, table: FeatureView) -> str:
    versioned = config.registry.enable_online_feature_view_versioning
    return f'"{compute_table_id(config.project, table, versioned)}"'
