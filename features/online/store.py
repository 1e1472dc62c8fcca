"""The online features through Feast: what serving reads and writes."""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import cast

import pyarrow as pa
from feast import FeatureService, FeatureStore, FeatureView
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from features.item import Item
from features.measures.items import ITEM_MEASURES
from features.online.configuration import repo_config
from features.online.contract import HistoryStore, MarkedResponse, Row
from features.online.definitions import (
    ATTENTION,
    CONSENT,
    ITEM_FIELDS,
    JOINED_TO,
    RECORDS,
    definitions,
)
from features.online.item_values import item_of, values_of
from features.privacy.aging import Aging
from features.record import latest
from features.settings import FeatureSettings


@dataclass(frozen=True, slots=True)
class Known:
    """What is held of one customer."""

    history: bytes  # records of features.record, oldest first
    consent: bytes  # records of features.privacy.consent, oldest first
    joined_to: str  # the customer key that an anonymous one is joined to; else empty
    attention: bytes = b""  # a ledger of features.attention, where it was asked for


NOTHING_KNOWN = Known(b"", b"", "")


@dataclass(frozen=True, slots=True)
class Debit:
    """A record of features.attention, to be appended to a ledger as it was read."""

    customer_key: str
    ledger: bytes
    record: bytes


@dataclass(frozen=True, slots=True)
class Reading:
    """What is held of several customers."""

    customers: list[Known]
    whole: bool  # whether the store held all that it should of the log; else some may be missing

    @property
    def histories(self) -> list[bytes]:
        """Each customer's packed records."""
        return [known.history for known in self.customers]


class OnlineFeatures:
    """Feast, applied and opened. One thread at a time; any number of processes.

    All methods raise OnlineError where the online store cannot be read or written.
    """

    def __init__(self, settings: FeatureSettings) -> None:
        """Applies the definitions and opens the online store; creates both where missing."""
        self._config = repo_config(settings)
        self._feast = FeatureStore(config=self._config)
        views = definitions(settings)
        with warnings.catch_warnings():
            # Of on-demand views, which Feast calls experimental.
            warnings.filterwarnings("ignore", "On demand feature view", RuntimeWarning)
            self._feast.apply(views.all)
        self._views = views
        # Feast's own: one connection, and one circuit breaker, for reads and writes.
        self._store = cast(HistoryStore, self._feast._get_provider().online_store)
        self._progress = self._store.progress(self._config)

    def read(self, customer_keys: Sequence[str], *, log_id: str, ledgers: bool = False) -> Reading:
        """What is held of each customer, and whether that is all of what the log holds.

        One round trip, with ledgers of attention or without.
        """
        if not customer_keys:
            return Reading([], self.is_whole(log_id))
        service = self._views.contact if ledgers else self._views.decision
        answer = self._ask(service, "customer_key", customer_keys)
        return Reading(_known_of(_columns(answer)), answer.marks == {log_id})

    def read_known(self, customer_keys: Sequence[str], *, ledgers: bool = False) -> list[Known]:
        """What is held of each customer; empty where nothing is."""
        if not customer_keys:
            return []
        service = self._views.contact if ledgers else self._views.decision
        return _known_of(self._read(service, "customer_key", customer_keys))

    def read_histories(self, customer_keys: Sequence[str]) -> list[bytes]:
        """Each customer's packed records, oldest first; b"" where nothing is held."""
        return [known.history for known in self.read_known(customer_keys)]

    def read_item(self, item_id: str) -> Item | None:
        """One item of the catalog; None where it is not held."""
        values = self._read([f"item:{name}" for name in ITEM_FIELDS], "item_id", [item_id])
        return item_of(item_id, {name: values[name][0] for name in ITEM_FIELDS})

    def _read(
        self, features: FeatureService | list[str], join_key: str, keys: Sequence[str]
    ) -> dict[str, list[Value]]:
        return _columns(self._ask(features, join_key, keys))

    def _ask(
        self, features: FeatureService | list[str], join_key: str, keys: Sequence[str]
    ) -> MarkedResponse:
        answer = self._feast.get_online_features(features, {join_key: list(keys)})
        return cast(MarkedResponse, answer)

    def write_records(self, records: Mapping[str, bytes]) -> None:
        """Merges packed records into the histories of customers, by customer key."""
        self.merge_records(records)

    def merge_records(self, records: Mapping[str, bytes]) -> dict[str, int]:
        """As write_records; gives, by customer key, how many records were not held before.

        Records too old to be kept count, as nobody knows better; those of before an erasure do not.
        """
        rows = [{RECORDS: Value(bytes_val=each)} for each in records.values()]
        data = _rows("customer_key", records, rows)
        counts = self._store.merge(self._config, self._views.history, data)
        return dict(zip(records, counts, strict=True))

    def write_consents(self, records: Mapping[str, bytes]) -> None:
        """Merges records of privacy.consent into what customers have said, by customer key."""
        rows = [{CONSENT: Value(bytes_val=latest(each))} for each in records.values()]
        self._write(self._views.consent, "customer_key", records.keys(), rows)

    def write_attention(self, records: Mapping[str, bytes]) -> None:
        """Merges records of features.attention into the ledgers of customers, by customer key."""
        rows = [{ATTENTION: Value(bytes_val=each)} for each in records.values()]
        self._write(self._views.attention, "customer_key", records.keys(), rows)

    def spend(self, debits: Sequence[Debit]) -> list[bytes | None]:
        """Appends records to ledgers that still are as they were read, one after the other.

        Gives each ledger as it was before: where it had changed, nothing was appended. None for a
        customer who was erased meanwhile.
        """
        rows = [{ATTENTION: Value(bytes_val=each.record)} for each in debits]
        data = _rows("customer_key", [each.customer_key for each in debits], rows)
        expected = [each.ledger for each in debits]
        return self._store.append(self._config, self._views.attention, data, expected)

    def write_joins(self, joins: Mapping[str, str]) -> None:
        """Notes, by anonymous key, which customers they have turned out to be."""
        rows = [{JOINED_TO: Value(string_val=each)} for each in joins.values()]
        self._write(self._views.identity, "customer_key", joins.keys(), rows)

    def write_items(self, items: Sequence[Item]) -> None:
        """Writes items; an item that is there is replaced whole."""
        rows = [values_of(each) for each in items]
        self._write(self._views.item, "item_id", [each.item_id for each in items], rows)

    @property
    def feast(self) -> FeatureStore:
        """Feast's own store, for whatever else it can be asked: features of the past, measures."""
        return self._feast

    def write_item_measures(self, snapshot: pa.Table) -> None:
        """Writes rows of a snapshot of features.measures.items; replaces what the items had."""
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
        data = _rows(join_key, keys, rows)
        self._store.online_write_batch(self._config, view, data, None)

    def delete_items(self, item_ids: Sequence[str]) -> None:
        """Removes items; ids that are not held are passed over."""
        keys = [_entity("item_id", each) for each in item_ids]
        self._store.delete(self._config, self._views.item, keys)

    def erase(self, customer_keys: Sequence[str], before_tick: int) -> None:
        """Removes all that is held of customers, and keeps out records up to `before_tick`.

        Whatever order erasures and late records come in, the latest erasure holds.
        """
        views = [each for each in self._feast.list_feature_views() if _is_of_customers(each)]
        keys = [_entity("customer_key", each) for each in customer_keys]
        self._store.erase(self._config, views, keys, before_tick)

    def drop_older(self, aging: Aging, *, progress: Callable[[int], None]) -> int:
        """Takes out of all customers' records what is past its time; gives how many that were."""
        views = (self._views.history, self._views.consent, self._views.attention)
        return sum(self._store.drop_older(self._config, each, aging, progress) for each in views)

    def drop_tombstones(self, before_tick: int) -> int:
        """Removes tombstones of before a tick that name whom they are of; gives how many stay."""
        return self._store.drop_tombstones(self._config, "customer_key", before_tick)

    def applied_position(self, stream: str) -> int:
        """Up to where the store holds a stream of the log; 0 for a store that was lost."""
        return self._progress.applied_position(stream)

    def advance(self, stream: str, position: int) -> None:
        """Notes that a stream of the log has been written up to `position`."""
        self._progress.advance(stream, position)

    def note_applied(self, stream: str, positions: Sequence[int]) -> None:
        """Notes single positions of a stream that have been written, in any order."""
        self._progress.note_applied(stream, positions)

    def missing(self, stream: str, up_to: int, limit: int) -> list[int]:
        """The first positions of a stream up to `up_to` that nobody has noted, ascending."""
        return self._progress.missing(stream, up_to, limit)

    def mark_whole(self, log_id: str) -> None:
        """Notes that the store holds all that it should of a log; goes when the store is lost."""
        self._progress.mark_whole(log_id)

    def is_whole(self, log_id: str) -> bool:
        """Whether the store was marked as whole, and has not been lost since."""
        return self._progress.is_whole(log_id)


def _is_of_customers(view: FeatureView) -> bool:
    return list(view.join_keys) == ["customer_key"]


def _columns(answer: MarkedResponse) -> dict[str, list[Value]]:
    names = answer.proto.metadata.feature_names.val
    return {name: list(row.values) for name, row in zip(names, answer.proto.results, strict=True)}


def _known_of(values: Mapping[str, list[Value]]) -> list[Known]:
    columns = zip(values[RECORDS], values[CONSENT], values[JOINED_TO], strict=True)
    known = [Known(h.bytes_val, c.bytes_val, j.string_val) for h, c, j in columns]
    if ATTENTION not in values:
        return known
    return [
        replace(each, attention=ledger.bytes_val)
        for each, ledger in zip(known, values[ATTENTION], strict=True)
    ]


def _rows(join_key: str, keys: Iterable[str], rows: Sequence[dict[str, Value]]) -> list[Row]:
    now = datetime.now(UTC)
    return [(_entity(join_key, key), row, now, None) for key, row in zip(keys, rows, strict=True)]


def _entity(join_key: str, key: str) -> EntityKey:
    return EntityKey(join_keys=[join_key], entity_values=[Value(string_val=key)])
