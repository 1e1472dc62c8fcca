"""What our online stores share: a view tagged as a history merges what is written to it.

A feature view with the tags {"merge": <Bytes feature>, "max_records": <n>} keeps the newest n
records of features.record in that feature. Each row written to it carries only new records; they
are merged atomically, so that neither order nor repeats nor other processes matter.
Every other view is written and read as Feast does it.
"""

from datetime import datetime

from feast import RepoConfig
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

MERGE_TAG = "merge"
MAX_RECORDS_TAG = "max_records"

Row = tuple[EntityKey, dict[str, Value], datetime, datetime | None]
"""One row as Feast writes it: entity, features, time of writing, and created_ts, unused."""


def stored_key(config: RepoConfig, entity_key: EntityKey) -> bytes:
    """An entity key in the bytes that Feast keeps."""
    version = config.entity_key_serialization_version
    return bytes(serialize_entity_key(entity_key, entity_key_serialization_version=version))
