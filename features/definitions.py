"""What Feast is told: entities, feature views, and what a decision reads."""

from dataclasses import dataclass
from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource
from feast.types import Array, Bool, Bytes, FeastType, Float64, String
from feast.value_type import ValueType

from features.consent import MAX_CONSENT_RECORDS
from features.encoding import SCHEMA_VERSION
from features.online import MAX_RECORDS_TAG, MERGE_TAG
from features.settings import FeatureSettings, Home

RECORDS = "records"
CONSENT = "consent_records"
JOINED_TO = "joined_to"
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
    consent: FeatureView  # by customer
    identity: FeatureView  # by anonymous customer
    item: FeatureView  # by item
    decision: FeatureService  # what a decision reads, one service for each version of the encoding

    @property
    def all(self) -> list[Entity | FeatureView | FeatureService]:
        """What Feast's apply takes."""
        views = (self.history, self.consent, self.identity, self.item)
        return [*self.entities, *views, self.decision]


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
    consent = FeatureView(
        name="consent",
        description="What a customer allows, as records of features.consent, oldest first",
        entities=[customer],
        schema=[Field(name=CONSENT, dtype=Bytes)],
        source=FileSource(path=str(home.history.resolve()), timestamp_field="event_time"),
        ttl=timedelta(0),
        tags={MERGE_TAG: CONSENT, MAX_RECORDS_TAG: str(MAX_CONSENT_RECORDS)},
    )
    identity = FeatureView(
        name="identity",
        description="The known customer whom an anonymous one has turned out to be",
        entities=[customer],
        schema=[Field(name=JOINED_TO, dtype=String)],
        source=FileSource(path=str(home.history.resolve()), timestamp_field="event_time"),
        ttl=timedelta(0),
    )
    items = FeatureView(
        name="item",
        description="The catalog: whatever an interaction can be about",
        entities=[item],
        schema=[Field(name=name, dtype=dtype) for name, dtype in ITEM_FIELDS.items()],
        source=FileSource(path=str(home.items.resolve()), timestamp_field="update_time"),
        ttl=timedelta(0),
    )
    service = FeatureService(
        name=f"decision-v{SCHEMA_VERSION}", features=[history, consent, identity]
    )
    return Definitions((customer, item), history, consent, identity, items, service)
