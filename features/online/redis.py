"""Our online store grown up: Feast's Redis store, whose history views merge what is written.

One key an entity, as Feast lays it out, on one Redis or a Redis Cluster. Histories stay small in
memory where the server says `hash-max-listpack-value 8192`; evicting keys would lose histories
in silence, so it should say `maxmemory-policy noeviction`, too.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from feast import FeatureService, FeatureView, RepoConfig
from feast.infra.key_encoding_utils import serialize_entity_key_prefix
from feast.infra.online_stores.helpers import _mmh3, compute_versioned_name
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from feast.infra.registry.base_registry import BaseRegistry
from feast.infra.supported_async_methods import SupportedAsyncMethods
from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesResponse
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.utils import _get_cached_request_context, make_tzaware
from feast.value_type import ValueType
from google.protobuf.timestamp_pb2 import Timestamp

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
from features.online.redis_link import Command, RedisLink, trips
from features.online.redis_progress import RedisProgress, marks_of
from features.online.redis_removal import drop_older, drop_tombstones, scan
from features.online.redis_scripts import APPEND, ERASE, MERGE
from features.online.redis_wire import Plan, metadata
from features.privacy.aging import Aging
from features.record import RECORD_BYTES

STORE = "features.online.redis.HistoryRedisOnlineStore"
ROWS_A_TRIP = 200
PRECOMPUTED = "precompute_online"  # a service whose rows Feast keeps ready


class HistoryRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    """As Feast's own Redis configuration, with a URL in place of its connection string."""

    type: Literal[STORE] = STORE  # type: ignore[valid-type]
    skip_dedup: bool = True  # else Feast drops, in silence, what another clock calls old
    url: str = "redis://localhost:6379"


class HistoryRedisOnlineStore(RedisOnlineStore):
    """Redis online store with merge-on-write. One thread at a time; any number of processes."""

    def __init__(self) -> None:
        """Connects when it is first used."""
        self._link: RedisLink | None = None
        self._plans: dict[str, tuple[Any, Plan | None]] = {}

    def link(self, config: RepoConfig) -> RedisLink:
        """The link to the server that the configuration names."""
        if self._link is None:
            self._link = RedisLink(config.online_store.url)
        return self._link

    @property
    def async_supported(self) -> SupportedAsyncMethods:
        """Nothing: Feast's asynchronous reads opened connections without bound."""
        return SupportedAsyncMethods()

    def _get_client(self, online_store_config: RedisOnlineStoreConfig) -> Any:
        assert self._link is not None, "every way here goes through link()"
        return self._link.client

    async def _get_client_async(self, online_store_config: RedisOnlineStoreConfig) -> Any:
        raise NotImplementedError("this store is read and written synchronously")

    # Writing.

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Writes rows; those of a history view are merged into what is held."""
        if MERGE_TAG in table.tags:
            self.merge(config, table, data)
            if progress:
                progress(len(data))
            return
        write = super().online_write_batch
        for rows in trips(data, ROWS_A_TRIP):
            self.link(config).call(f"write {table.name}", write, config, table, rows, progress)

    def merge(self, config: RepoConfig, table: FeatureView, data: Sequence[Row]) -> list[int]:
        """Merges rows of a history view; gives how many records of each were not held before."""
        counts: list[int] = []
        for rows in trips(data, ROWS_A_TRIP):
            arriving, older = zip(*(_arriving(table, row) for row in rows), strict=True)
            calls = [
                (*_merge_call(config, table, row, blob), int(LATEST_TAG in table.tags))
                for row, blob in zip(rows, arriving, strict=True)
            ]
            new = self.link(config).run(f"merge into {table.name}", MERGE, calls)
            counts += map(sum, zip(new, older, strict=True))
        return counts

    def append(
        self, config: RepoConfig, table: FeatureView, data: Sequence[Row], expected: Sequence[bytes]
    ) -> list[bytes | None]:
        """Appends a record to what is held, if that is as expected; gives what was held."""
        calls = [
            (*_merge_call(config, table, row, row[1][table.tags[MERGE_TAG]].bytes_val), held)
            for row, held in zip(data, expected, strict=True)
        ]
        return self.link(config).run(f"append to {table.name}", APPEND, calls)

    def delete(
        self, config: RepoConfig, table: FeatureView, entity_keys: Sequence[EntityKey]
    ) -> None:
        """Removes all that a view holds of these entities."""
        name = _view_name(config, table)
        fields = [_mmh3(f"{name}:{each.name}") for each in table.features] + [f"_ts:{name}"]
        for keys in trips(entity_keys, ROWS_A_TRIP):
            commands = [("HDEL", _redis_key(config, each), *fields) for each in keys]
            self.link(config).ask(f"delete from {table.name}", commands)

    def erase(
        self,
        config: RepoConfig,
        tables: Sequence[FeatureView],
        entity_keys: Sequence[EntityKey],
        before_tick: int,
    ) -> None:
        """Removes all of these entities; each key keeps nothing but a tombstone."""
        erased = before_tick.to_bytes(TICK_BYTES, "big")
        for keys in trips(entity_keys, ROWS_A_TRIP):
            calls = [(1, _redis_key(config, each), erased) for each in keys]
            self.link(config).run("erase customers", ERASE, calls)

    def drop_older(
        self,
        config: RepoConfig,
        table: FeatureView,
        aging: Aging,
        progress: Callable[[int], None],
    ) -> int:
        """Takes out what is past its time, record by record; what is merged meanwhile stays."""
        name, link, count = _view_name(config, table), self.link(config), 0
        field = _mmh3(f"{name}:{table.tags[MERGE_TAG]}")
        for keys in self._scan(config, list(table.join_keys)):
            count += drop_older(link, keys, field, f"_ts:{name}", aging)
            progress(len(keys))
        return count

    def drop_tombstones(self, config: RepoConfig, join_key: str, before_tick: int) -> int:
        """A key whose tombstone was all that it held is gone with it."""
        link, before = self.link(config), before_tick.to_bytes(TICK_BYTES, "big")
        return sum(drop_tombstones(link, keys, before) for keys in self._scan(config, [join_key]))

    def _scan(self, config: RepoConfig, join_keys: list[str]) -> Iterator[list[bytes]]:
        """Keys of these entities that are of this project, in batches."""
        head, project = serialize_entity_key_prefix(join_keys), config.project.encode()
        yield from scan(self.link(config), head, project)

    # Reading.

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
        """As Feast's own, and equal to it; a service of views of one string key is read lean."""
        unusual = full_feature_names or include_feature_view_version_metadata
        if not unusual and isinstance(features, FeatureService) and isinstance(entity_rows, dict):
            plan = self._plan(config, features, registry, project)
            if plan is not None and _fits(plan, entity_rows):
                return self._read(config, plan, entity_rows[plan.join_key])
        stock = partial(super().get_online_features, config, features, entity_rows, registry)
        rest = (project, full_feature_names, include_feature_view_version_metadata)
        answer = self.link(config).call("read features", stock, *rest)
        marks = self.progress(config).marked_logs()
        return MarkedResponse(answer.proto, answer._feature_types, marks)

    def _plan(
        self, config: RepoConfig, features: FeatureService, registry: BaseRegistry, project: str
    ) -> Plan | None:
        made = getattr(registry, "cached_registry_proto_created", None)
        known = self._plans.get(features.name)
        if known is None or known[0] != made:
            known = made, _plan_of(config, features, registry, project)
            self._plans[features.name] = known
        return known[1]

    def _read(self, config: RepoConfig, plan: Plan, entities: Sequence[str]) -> MarkedResponse:
        link = self.link(config)
        replies: list[Any] = []
        marks: set[str] = set()
        for trip in trips(entities, ROWS_A_TRIP):
            keys = [plan.key(each) for each in trip]
            commands = [("HMGET", key, *plan.fields) for key in keys]
            # Last, so that a store that is lost in between does not pass for whole.
            commands += [("GET", each) for each in marks_of(link, config.project, keys)]
            found = link.ask("read features", commands)
            replies += found[: len(keys)]
            marks.update((each or b"").decode() for each in found[len(keys) :])
        proto = GetOnlineFeaturesResponse.FromString(plan.answer(entities, replies))
        return MarkedResponse(proto, plan.feature_types, frozenset(marks))

    def progress(self, config: RepoConfig) -> RedisProgress:
        """What this store holds of the log."""
        return RedisProgress(self.link(config), config.project)


def _view_name(config: RepoConfig, table: FeatureView) -> str:
    return compute_versioned_name(table, config.registry.enable_online_feature_view_versioning)


def _redis_key(config: RepoConfig, entity_key: EntityKey) -> bytes:
    return stored_key(config, entity_key) + config.project.encode()


def _arriving(table: FeatureView, row: Row) -> tuple[bytes, int]:
    return newest(row[1][table.tags[MERGE_TAG]].bytes_val, int(table.tags[MAX_RECORDS_TAG]))


def _merge_call(config: RepoConfig, table: FeatureView, row: Row, arriving: bytes) -> Command:
    entity_key, _, written, _ = row
    name, timestamp = _view_name(config, table), Timestamp()
    timestamp.FromDatetime(make_tzaware(written))
    return (
        1,
        _redis_key(config, entity_key),
        _mmh3(f"{name}:{table.tags[MERGE_TAG]}"),
        f"_ts:{name}",
        timestamp.SerializeToString(),
        arriving,
        RECORD_BYTES * int(table.tags[MAX_RECORDS_TAG]),
        config.online_store.key_ttl_seconds or 0,
    )


def _plan_of(
    config: RepoConfig, features: FeatureService, registry: BaseRegistry, project: str
) -> Plan | None:
    context = _get_cached_request_context(registry, project, features, False)
    on_demand, types, views = context[1], context[3], context[5]
    join_keys = {tuple(view.join_keys) for view, _ in views}
    names = [name for _, asked in views for name in asked]
    odd = any(view.projection.join_key_map or view.projection.version_tag for view, _ in views)
    if on_demand or odd or len(join_keys) != 1 or len(set(names)) != len(names):
        return None
    (join_key, *more) = join_keys.pop()
    if more or types.get(join_key) != ValueType.STRING or getattr(features, PRECOMPUTED, False):
        return None
    fields: list[bytes] = []
    places: list[tuple[int, int]] = []
    for view, asked in views:
        name, first = _view_name(config, view), len(fields)
        fields += [*(_mmh3(f"{name}:{each}") for each in asked), f"_ts:{name}".encode()]
        places += [(first + at, first + len(asked)) for at in range(len(asked))]
    return Plan(
        join_key=join_key,
        key_head=serialize_entity_key_prefix([join_key]),
        key_tail=project.encode(),
        fields=tuple(fields),
        places=tuple(places),
        metadata=metadata([join_key, *names]),
        feature_types=HistoryRedisOnlineStore._build_feature_types(views),
    )


def _fits(plan: Plan, entity_rows: Mapping[str, Any]) -> bool:
    entities = entity_rows.get(plan.join_key)
    if len(entity_rows) != 1 or not isinstance(entities, list) or not entities:
        return False
    return all(type(each) is str for each in entities)
