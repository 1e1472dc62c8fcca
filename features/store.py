"""The online features through Feast: what serving reads and writes."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import pyarrow as pa
from feast import FeatureService, FeatureStore, FeatureView, RepoConfig
from feast.infra.provider import get_provider
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import StringList, Value
from feast.repo_config import RegistryConfig

from features.definitions import CONSENT, ITEM_FIELDS, JOINED_TO, RECORDS, definitions
from features.item import Item
from features.item_measures import ITEM_MEASURES
from features.online import Row
from features.online_sqlite import HistorySqliteOnlineStore, HistorySqliteOnlineStoreConfig
from features.settings import FeatureSettings, Home

PROJECT = "interplay"


@dataclass(frozen=True, slots=True)
class Known:
    """What is held of one customer."""

    history: bytes  # records of features.record, oldest first
    consent: bytes  # records of features.consent, oldest first
    joined_to: str  # the customer key that an anonymous one is joined to; else empty


class OnlineFeatures:
    """Feast, applied and opened. One thread at a time; any number of processes."""

    def __init__(self, settings: FeatureSettings) -> None:
        """Applies the definitions and opens the online store; creates both where missing."""
        self._config = _config(Home(settings.home))
        self._feast = FeatureStore(config=self._config)
        views = definitions(settings)
        with warnings.catch_warnings():
            # Of on-demand views, which Feast calls experimental.
            warnings.filterwarnings("ignore", "On demand feature view", RuntimeWarning)
            self._feast.apply(views.all)
        self._views = views
        self._provider = get_provider(self._config)
        self._store = cast(HistorySqliteOnlineStore, self._provider.online_store)

    def read_known(self, customer_keys: Sequence[str]) -> list[Known]:
        """What is held of each customer; empty where nothing is."""
        if not customer_keys:
            return []
        values = self._read(self._views.decision, "customer_key", customer_keys)
        columns = zip(values[RECORDS], values[CONSENT], values[JOINED_TO], strict=True)
        return [Known(h.bytes_val, c.bytes_val, j.string_val) for h, c, j in columns]

    def read_histories(self, customer_keys: Sequence[str]) -> list[bytes]:
        """Each customer's packed records, oldest first; b"" where nothing is held."""
        return [known.history for known in self.read_known(customer_keys)]

    def read_item(self, item_id: str) -> Item | None:
        """One item of the catalog; None where it is not held."""
        values = self._read([f"item:{name}" for name in ITEM_FIELDS], "item_id", [item_id])
        return _item_of(item_id, {name: values[name][0] for name in ITEM_FIELDS})

    def _read(
        self, features: FeatureService | list[str], join_key: str, keys: Sequence[str]
    ) -> dict[str, list[Value]]:
        answer = self._feast.get_online_features(features, {join_key: list(keys)}).proto
        names = answer.metadata.feature_names.val
        return {name: list(row.values) for name, row in zip(names, answer.results, strict=True)}

    def write_records(self, records: Mapping[str, bytes]) -> None:
        """Merges packed records into the histories of customers, by customer key."""
        keys, blobs = records.keys(), records.values()
        rows = [{RECORDS: Value(bytes_val=each)} for each in blobs]
        self._write(self._views.history, "customer_key", keys, rows)

    def write_consents(self, records: Mapping[str, bytes]) -> None:
        """Merges records of features.consent into what customers have said, by customer key."""
        rows = [{CONSENT: Value(bytes_val=each)} for each in records.values()]
        self._write(self._views.consent, "customer_key", records.keys(), rows)

    def write_joins(self, joins: Mapping[str, str]) -> None:
        """Notes, by anonymous key, which customers they have turned out to be."""
        rows = [{JOINED_TO: Value(string_val=each)} for each in joins.values()]
        self._write(self._views.identity, "customer_key", joins.keys(), rows)

    def write_items(self, items: Sequence[Item]) -> None:
        """Writes items; an item that is there is replaced whole."""
        rows = [_values_of(each) for each in items]
        self._write(self._views.item, "item_id", [each.item_id for each in items], rows)

    @property
    def feast(self) -> FeatureStore:
        """Feast's own store, for whatever else it can be asked: features of the past, measures."""
        return self._feast

    def write_item_measures(self, snapshot: pa.Table) -> None:
        """Writes rows of a snapshot of features.item_measures; replaces what the items had."""
        columns = zip(*(snapshot[name].to_pylist() for name in ITEM_MEASURES), strict=True)
        rows = [
            {name: Value(double_val=value) for name, value in zip(ITEM_MEASURES, each, strict=True)}
            for each in columns
        ]
        item_ids = snapshot["item_id"].to_pylist()
        self._write(self._views.item_measures, "item_id", item_ids, rows)

    def read_item_measures(self, item_ids: Sequence[str]) -> list[dict[str, float] | None]:
        """The newest measures of each item, by name; None where none are held."""
        features = [f"item-measures:{name}" for name in ITEM_MEASURES]
        columns = self._read(features, "item_id", item_ids)
        rows = zip(*(columns[name] for name in ITEM_MEASURES), strict=True)
        return [
            {n: v.double_val for n, v in zip(ITEM_MEASURES, row, strict=True)}
            if row[0].HasField("double_val")
            else None
            for row in rows
        ]

    def _write(
        self, view: FeatureView, join_key: str, keys: Iterable[str], rows: list[dict[str, Value]]
    ) -> None:
        if not rows:
            return
        now = datetime.now(UTC)
        data: list[Row] = [
            (_entity(join_key, key), row, now, None) for key, row in zip(keys, rows, strict=True)
        ]
        self._provider.online_write_batch(self._config, view, data, None)

    def delete_items(self, item_ids: Sequence[str]) -> None:
        """Removes items; ids that are not held are passed over."""
        keys = [_entity("item_id", each) for each in item_ids]
        self._store.delete(self._config, self._views.item, keys)

    def applied_position(self, stream: str) -> int:
        """Up to where the store holds a stream of the log; 0 for a store that was lost."""
        return self._store.applied_position(self._config, stream)

    def advance(self, stream: str, position: int) -> None:
        """Notes that a stream of the log has been written up to `position`."""
        self._store.advance(self._config, stream, position)


def _config(home: Home) -> RepoConfig:
    home.path.mkdir(parents=True, exist_ok=True)
    return RepoConfig(
        project=PROJECT,
        provider="local",
        registry=RegistryConfig(path=str(home.feast_registry.resolve()), cache_ttl_seconds=0),
        online_store=HistorySqliteOnlineStoreConfig(path=str(home.online.resolve())),
        offline_store={"type": "duckdb"},
        entity_key_serialization_version=3,
    )


def _entity(join_key: str, key: str) -> EntityKey:
    return EntityKey(join_keys=[join_key], entity_values=[Value(string_val=key)])


def _values_of(item: Item) -> dict[str, Value]:
    return {
        "name": Value(string_val=item.name),
        "category": Value(string_val=item.category),
        "brand": Value(string_val=item.brand),
        "price": Value() if item.price is None else Value(double_val=item.price),
        "currency": Value() if item.currency is None else Value(string_val=item.currency),
        "unavailable": Value(bool_val=item.unavailable),
        "tags": Value(string_list_val=StringList(val=item.tags)),
    }


def _item_of(item_id: str, values: Mapping[str, Value]) -> Item | None:
    if not values["unavailable"].HasField("bool_val"):
        return None
    priced = values["price"].HasField("double_val")
    return Item(
        item_id=item_id,
        name=values["name"].string_val,
        category=values["category"].string_val,
        brand=values["brand"].string_val,
        price=values["price"].double_val if priced else None,
        currency=values["currency"].string_val if priced else None,
        unavailable=values["unavailable"].bool_val,
        tags=tuple(values["tags"].string_list_val.val),
    )
