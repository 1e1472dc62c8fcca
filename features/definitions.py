"""What Feast is told: entities, feature views, and what a decision reads."""

from dataclasses import dataclass
from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource
from feast.types import Array, Bool, Bytes, FeastType, Float64, String
from feast.value_type import ValueType

from features.encoding import SCHEMA_VERSION
from features.online import MAX_RECORDS_TAG, MERGE_TAG
from features.settings import FeatureSettings, Home

RECORDS = "records"
ITEM_FIELDS: dict[str, FeastType] = {
    "name": String,
    "category": String,
    "brand": String,
    "price": Float64,
    "currency": String,
    "unavailable": Bool,
    "tags": Array(String),
}


@dataclass(frozen=True, slots=True)
class Definitions:
    """Everything that Feast is told."""

    entities: tuple[Entity, ...]
    history: FeatureView  # by customer
    item: FeatureView  # by item
    decision: FeatureService  # what a decision reads, one service for each version of the encoding


def definitions(settings: FeatureSettings) -> Definitions:
    """The entities, views and the feature service of these settings."""
    home = Home(settings.home)
    customer = Entity(name="customer", join_keys=["customer_key"], value_type=ValueType.STRING)
    item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)
    history = FeatureView(
        name="history",
        description="A customer's newest interactions, packed by features.record, oldest first",
        entities=[customer],
        schema=[Field(name=RECORDS, dtype=Bytes)],
        source=FileSource(path=str(home.history.resolve()), timestamp_field="event_time"),
        ttl=timedelta(0),
        tags={MERGE_TAG: RECORDS, MAX_RECORDS_TAG: str(settings.max_records)},
    )
    items = FeatureView(
        name="item",
        description="The catalog: whatever an interaction can be about",
        entities=[item],
        schema=[Field(name=name, dtype=dtype) for name, dtype in ITEM_FIELDS.items()],
        source=FileSource(path=str(home.items.resolve()), timestamp_field="update_time"),
        ttl=timedelta(0),
    )
    service = FeatureService(name=f"decision-v{SCHEMA_VERSION}", features=[history])
    return Definitions((customer, item), history, items, service)
