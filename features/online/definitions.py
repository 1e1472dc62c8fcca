"""What Feast is told: entities, feature views, and what a decision reads."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import FunctionType
from typing import Any, cast

from feast import Entity, FeatureService, FeatureView, Field, FileSource, RequestSource
from feast.data_format import ParquetFormat
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.transformation.python_transformation import PythonTransformation
from feast.types import Array, Bool, Bytes, FeastType, Float64, Int64, String
from feast.value_type import ValueType

from features.attention import MAX_ATTENTION_RECORDS
from features.encoding import SCHEMA_VERSION
from features.measures.customers import MEASURES_VERSION, Measures, measure_columns
from features.measures.items import ITEM_MEASURES
from features.online.contract import LATEST_TAG, MAX_RECORDS_TAG, MERGE_TAG
from features.privacy.consent import MAX_CONSENT_RECORDS
from features.settings import FeatureSettings, Home
from features.vocabulary import load_vocabulary

RECORDS = "records"
NOW = "now_tick"  # the moment of asking, in ticks of features.record
CONSENT = "consent_records"
ATTENTION = "attention_records"
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
    attention: FeatureView  # by customer
    identity: FeatureView  # by anonymous customer
    item: FeatureView  # by item
    item_measures: FeatureView  # by item
    measures: OnDemandFeatureView  # of a customer's history, at a moment
    decision: FeatureService  # what a decision reads, one service for each version of the encoding
    contact: FeatureService  # what a decision reads that spends attention
    measured: FeatureService  # a customer's measures, one service for each version of these

    @property
    def all(self) -> list[Any]:
        """What Feast's apply takes."""
        of_customers = (self.history, self.consent, self.attention, self.identity)
        views = (*of_customers, self.item, self.item_measures, self.measures)
        return [*self.entities, *views, self.decision, self.contact, self.measured]


def definitions(settings: FeatureSettings) -> Definitions:
    """The entities, views and the feature service of these settings."""
    home = Home(settings.home)
    customer = Entity(name="customer", join_keys=["customer_key"], value_type=ValueType.STRING)
    item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)
    said = FileSource(path=str(home.history.resolve()), timestamp_field="event_time")
    history = FeatureView(
        name="history",
        description="A customer's newest interactions, packed by features.record, oldest first",
        entities=[customer],
        schema=[Field(name=RECORDS, dtype=Bytes)],
        source=_parquet(home.windows, "event_time"),
        ttl=timedelta(0),
        tags=_merged(RECORDS, settings.max_records),
    )
    consent = FeatureView(
        name="consent",
        description="What a customer allows and wants: records of privacy.consent, oldest first",
        entities=[customer],
        schema=[Field(name=CONSENT, dtype=Bytes)],
        source=said,
        ttl=timedelta(0),
        tags=_merged(CONSENT, MAX_CONSENT_RECORDS) | {LATEST_TAG: "true"},
    )
    attention = FeatureView(
        name="attention",
        description="What turning to a customer has spent, as records of features.attention",
        entities=[customer],
        schema=[Field(name=ATTENTION, dtype=Bytes)],
        source=said,
        ttl=timedelta(0),
        tags=_merged(ATTENTION, MAX_ATTENTION_RECORDS),
    )
    identity = FeatureView(
        name="identity",
        description="The known customer whom an anonymous one has turned out to be",
        entities=[customer],
        schema=[Field(name=JOINED_TO, dtype=String)],
        source=said,
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
    contact = FeatureService(
        name=f"contact-v{SCHEMA_VERSION}", features=[history, consent, identity, attention]
    )
    measures = _measures(settings, history)
    measured = FeatureService(name=f"decision-measures-v{MEASURES_VERSION}", features=[measures])
    return Definitions(
        entities=(customer, item),
        history=history,
        consent=consent,
        attention=attention,
        identity=identity,
        item=items,
        item_measures=_item_measures(home, item),
        measures=measures,
        decision=service,
        contact=contact,
        measured=measured,
    )


def _merged(feature: str, max_records: int) -> dict[str, str]:
    """The tags of a view that merges what is written to it; see features.online.contract."""
    return {MERGE_TAG: feature, MAX_RECORDS_TAG: str(max_records)}


def _measures(settings: FeatureSettings, history: FeatureView) -> OnDemandFeatureView:
    """Feast runs what stands in `text`, wherever it has nothing but its registry."""
    vocabulary, limit = settings.vocabulary.resolve(), settings.max_records
    text = (
        "def measure(inputs):\n"
        "    from features.measures.customers import measure_columns\n"
        f"    return measure_columns(inputs, {str(vocabulary)!r}, {limit})\n"
    )
    names = Measures(load_vocabulary(vocabulary), limit).names

    def measure(inputs: dict[str, list[Any]]) -> dict[str, list[float]]:
        return measure_columns(inputs, str(vocabulary), limit)

    return OnDemandFeatureView(
        name="measures",
        description="Counts, rates, recency and money of a customer: see measures.customers",
        sources=[history, RequestSource(name="moment", schema=[Field(name=NOW, dtype=Int64)])],
        schema=[Field(name=name, dtype=Float64) for name in names],
        feature_transformation=PythonTransformation(cast(FunctionType, measure), text),
        mode="python",
    )


def _item_measures(home: Home, item: Entity) -> FeatureView:
    return FeatureView(
        name="item-measures",
        description="Popularity, conversion and returns of an item: see features.measures.items",
        entities=[item],
        schema=[Field(name=name, dtype=Float64) for name in ITEM_MEASURES],
        source=_parquet(home.item_measures, "update_time"),
        ttl=timedelta(0),
    )


def _parquet(folder: Path, timestamp_field: str) -> FileSource:
    return FileSource(
        path=str(folder.resolve() / "*.parquet"),
        file_format=ParquetFormat(),
        timestamp_field=timestamp_field,
    )
