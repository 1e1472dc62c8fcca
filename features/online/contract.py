"""What our online stores share: a view tagged as a history merges what is written to it.

A feature view with the tags {"merge": <Bytes feature>, "max_records": <n>} keeps the newest n
records of features.record in that feature; with "latest" as well, of those that are about the same
only the newest. Each row written to it carries only new records; they are merged atomically, so
that neither order nor repeats nor other processes matter.
Every other view is written and read as Feast does it.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Protocol

from feast import FeatureView, RepoConfig
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.online_response import OnlineResponse
from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesResponse
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.value_type import ValueType

from features.privacy.aging import Aging
from features.record import RECORD_BYTES

MERGE_TAG = "merge"
MAX_RECORDS_TAG = "max_records"
LATEST_TAG = "latest"
TICK_BYTES = 5  # at the head of a record

Row = tuple[EntityKey, dict[str, Value], datetime, datetime | None]
"""One row as Feast writes it: entity, features, time of writing, and created_ts, unused."""


class OnlineError(RuntimeError):
    """The online store could not be read or written; a write may have been done in part."""


class MarkedResponse(OnlineResponse):
    """Feast's answer, and for which logs the store said, in the same round trip, to be whole."""

    def __init__(
        self,
        proto: GetOnlineFeaturesResponse,
        feature_types: dict[str, ValueType],
        marks: frozenset[str],
    ) -> None:
        """`marks` holds an empty text where some part of the store is not marked."""
        super().__init__(proto, feature_types)
        self.marks = marks


class Progress(Protocol):
    """What an online store holds of the log. All methods raise OnlineError."""

    def applied_position(self, stream: str) -> int:
        """Up to where the store holds a stream of the log; 0 for a store that was lost."""

    def advance(self, stream: str, position: int) -> None:
        """Notes that everything up to `position` has been written; call it after the writes."""

    def note_applied(self, stream: str, positions: Sequence[int]) -> None:
        """Notes single positions, in any order; call it after the writes."""

    def missing(self, stream: str, up_to: int, limit: int) -> list[int]:
        """The first positions up to `up_to` that nobody has noted, ascending."""

    def mark_whole(self, log_id: str) -> None:
        """Notes that the store holds all that it should of a log; goes when the store is lost."""

    def is_whole(self, log_id: str) -> bool:
        """Whether the store was marked as whole, and has not been lost since."""


class HistoryStore(Protocol):
    """What our stores do beyond Feast's own. All methods raise OnlineError."""

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Writes rows; those of a history view are merged into what is held."""

    def merge(self, config: RepoConfig, table: FeatureView, data: Sequence[Row]) -> list[int]:
        """Merges rows of a history view; gives how many records of each were not held before.

        Records too old to be kept count, as nobody knows better; erased ones do not.
        """

    def append(
        self, config: RepoConfig, table: FeatureView, data: Sequence[Row], expected: Sequence[bytes]
    ) -> list[bytes | None]:
        """Appends one record to each entity of a history view that holds exactly what is expected.

        Gives what was held before: where it is not the expected, nothing was appended. None for
        an entity that was erased after the record.
        """

    def delete(
        self, config: RepoConfig, table: FeatureView, entity_keys: Sequence[EntityKey]
    ) -> None:
        """Removes all that a view holds of these entities."""

    def erase(
        self,
        config: RepoConfig,
        tables: Sequence[FeatureView],
        entity_keys: Sequence[EntityKey],
        before_tick: int,
    ) -> None:
        """Removes all that the views hold of these entities, and keeps out what comes late.

        The views are all those of the entity. Merging drops records up to `before_tick`
        from then on; of several erasures the latest holds.
        """

    def drop_older(
        self,
        config: RepoConfig,
        table: FeatureView,
        aging: Aging,
        progress: Callable[[int], None],
    ) -> int:
        """Takes out of a history view what is past its time; gives how many records that were.

        Each customer's at once; what is merged meanwhile stays. Tells `progress` the customers.
        """

    def drop_tombstones(self, config: RepoConfig, join_key: str, before_tick: int) -> int:
        """Removes tombstones of before a tick that name whom they are of; gives how many stay."""

    def progress(self, config: RepoConfig) -> Progress:
        """What this store holds of the log."""


def stored_key(config: RepoConfig, entity_key: EntityKey) -> bytes:
    """An entity key in the bytes that Feast keeps."""
    version = config.entity_key_serialization_version
    return bytes(serialize_entity_key(entity_key, entity_key_serialization_version=version))


def newest(records: bytes, max_records: int) -> tuple[bytes, int]:
    """The newest distinct records, oldest first, and how many distinct older ones there were."""
    if len(records) == RECORD_BYTES:
        return records, 0
    if len(records) % RECORD_BYTES:
        raise ValueError(f"{len(records)} bytes are no whole number of {RECORD_BYTES}-byte records")
    starts = range(0, len(records), RECORD_BYTES)
    distinct = sorted({records[at : at + RECORD_BYTES] for at in starts})
    kept = distinct[-max_records:]
    return b"".join(kept), len(distinct) - len(kept)


def gaps(after: int, noted: Iterable[int], up_to: int, limit: int) -> list[int]:
    """The first positions in (after, up_to] that are not among the noted ones, which ascend."""
    found: list[int] = []
    for position in noted:
        found += range(after + 1, min(position, up_to + 1, after + 1 + limit - len(found)))
        after = max(after, position)
        if after >= up_to or len(found) == limit:
            return found
    return found + list(range(after + 1, min(up_to + 1, after + 1 + limit - len(found))))
