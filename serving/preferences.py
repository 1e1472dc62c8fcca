"""What customers want no more of, in the API's messages: as it is said, and as it holds."""

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from interplay.v1 import customer_service_pb2 as customer_pb
from interplay.v1 import personalization_service_pb2 as personalization_pb

from features.interaction import (
    MAX_ID_BYTES,
    OPT_IN,
    OPT_OUT,
    Interaction,
    Violation,
    check,
    check_channel,
    check_id,
    check_text,
)
from features.privacy.preferences import Preferences
from features.record import item_hash, moment, tick
from features.topic import EVERYTHING, TOPIC, UNTIL, Kind, Topic
from features.vocabulary import Initiator
from serving.decision import Decision
from serving.door import Door
from serving.items.catalog import Catalog

SOURCE = "preferences"  # of the interactions that say them
MAX_CHANGES = 100
MAX_TOPICS = 200  # of a customer; fewer than what is kept, so that no consent is pushed out
MAX_CATEGORIES = 10
FIELDS = {
    "category": Kind.CATEGORY,
    "brand": Kind.BRAND,
    "item_id": Kind.ITEM,
    "type": Kind.TYPE,
    "channel": Kind.CHANNEL,
}
FIELD_OF = {kind: name for name, kind in FIELDS.items()}


def statements_of(
    request: customer_pb.SetPreferencesRequest, door: Door
) -> dict[Topic, Interaction]:
    """The interactions that say what a request changes; raises InvalidError."""
    door.note(check_channel(request.channel))
    pauses = request.HasField("pause_end_time")
    door.check_size("preferences", request.preferences, MAX_CHANGES, least=0 if pauses else 1)
    said: dict[Topic, Interaction] = {}
    for at, each in enumerate(request.preferences[:MAX_CHANGES]):
        within = f"preferences[{at}]."
        topic = _topic(each, door, within)
        if topic in said:
            door.note([Violation("topic", str(topic), "is named twice")], within=within)
        elif topic is not None:
            said[topic] = _statement(request, topic, door, mutes=each.muted)
            door.note(_faults(said[topic], "topic", door), within=within)
    if pauses:
        said[EVERYTHING] = _pause(request, door)
        door.note(_faults(said[EVERYTHING], "pause_end_time", door))
    door.close()
    return said


def _topic(message: customer_pb.Preference, door: Door, within: str) -> Topic | None:
    name = message.WhichOneof("topic")
    if name is None:
        door.note([Violation("topic", "not set", "is required")], within=within)
        return None
    value = getattr(message, name)
    if name == "channel":
        door.note(check_channel(value), within=within)
    elif name == "item_id":
        door.note(check_id(name, value, required=True), within=within)
    else:
        empty = [] if value else [Violation(name, "''", "must not be empty")]
        door.note([*empty, *check_text(name, value, MAX_ID_BYTES)], within=within)
    return Topic(FIELDS[name], value) if value else None


def _statement(
    request: customer_pb.SetPreferencesRequest,
    topic: Topic,
    door: Door,
    *,
    mutes: bool,
    until: datetime | None = None,
) -> Interaction:
    return Interaction(
        source=SOURCE,
        interaction_id=uuid.uuid4().hex,
        customer_id=request.customer_id or None,
        anonymous_id=request.anonymous_id or None,
        initiator=Initiator.CUSTOMER,
        type=OPT_OUT if mutes else OPT_IN,
        channel=request.channel,
        item_id=topic.name if topic.kind is Kind.ITEM else None,
        event_time=door.now,
        attributes={TOPIC: str(topic)} | ({UNTIL: until.isoformat()} if until else {}),
    )


def _pause(request: customer_pb.SetPreferencesRequest, door: Door) -> Interaction:
    """A time that has passed, or is none, ends it."""
    try:
        end = request.pause_end_time.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        value = f"{request.pause_end_time.seconds} s {request.pause_end_time.nanos} ns"
        door.note([Violation("pause_end_time", value, "must be a valid Timestamp")])
        end = door.now
    mutes = end > door.now
    return _statement(request, EVERYTHING, door, mutes=mutes, until=end if mutes else None)


def _faults(interaction: Interaction, field: str, door: Door) -> Iterator[Violation]:
    """What of the rules of all interactions the field of the request breaks."""
    for each in check(interaction, vocabulary=door.vocabulary, now=door.now):
        if each.field.startswith("attributes") or each.field == "type":
            yield replace(each, field=field)
    if (refused := door.erasures.violation(interaction)) is not None:
        yield refused


def too_many(count: int) -> Violation:
    """Why no more topics may be added."""
    rule = f"at most {MAX_TOPICS} different topics are kept of a customer"
    return Violation("preferences", f"{count} topics", rule)


def preference_messages(topics: Iterable[Topic]) -> list[customer_pb.Preference]:
    """What is muted; a topic without a name has an empty one."""
    fields = ({FIELD_OF[each.kind]: each.name} for each in topics)
    return [customer_pb.Preference(muted=True, **each) for each in fields]


def pause_message(preferences: Preferences, now: datetime) -> Timestamp | None:
    """When the pause ends; None where there is none now."""
    if not preferences.pauses(tick(now)):
        return None
    end = Timestamp()
    end.FromDatetime(moment(preferences.pause_end_tick))
    return end


def inference_message(decision: Decision, catalog: Catalog) -> customer_pb.Inference | None:
    """What a decision shows of what the model makes of a customer; None where it made nothing."""
    said = personalization_pb.DecideInteractionResponse.FromString(decision.intents)
    if not decision.profiled or not said.intents:
        return None
    categories: Counter[str] = Counter()
    for each in decision.ranked:
        item = catalog.by_hash.get(item_hash(each.item_id))
        if item is not None and item.category:
            categories[item.category] += each.score  # type: ignore[assignment]
    return customer_pb.Inference(
        model_version=decision.model_version,
        types=_likely([(each.type, each.probability) for each in said.intents]),
        categories=_likely(categories.most_common(MAX_CATEGORIES)),
    )


def _likely(found: Sequence[tuple[str, float]]) -> list[customer_pb.Likelihood]:
    return [customer_pb.Likelihood(name=name, probability=each) for name, each in found]
