"""Replies: our own types become the API's messages."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from interplay.v1 import catalog_service_pb2 as catalog_pb
from interplay.v1 import customer_service_pb2 as customer_pb
from interplay.v1 import interaction_pb2 as interaction_pb
from interplay.v1 import model_service_pb2 as model_pb
from interplay.v1 import personalization_service_pb2 as personalization_pb

from features.held import Held
from features.item import Item
from features.policy.arbitration import Silence
from features.privacy.consent import Consent
from features.privacy.forgetting import Receipt
from features.record import EPOCH, moment
from features.vocabulary import Initiator
from serving.decision import Decision
from serving.items.catalog import Catalog
from serving.model.registry import Model, Registered
from serving.policy.ranking import Ranked
from serving.remembering import Degradation
from serving.wire import candidate

NANOS_PER_SECOND = 10**9
INITIATORS = {
    Initiator.CUSTOMER: interaction_pb.INITIATOR_CUSTOMER,
    Initiator.COMPANY: interaction_pb.INITIATOR_COMPANY,
}
DEGRADATION = {
    Degradation.NONE: personalization_pb.DEGRADATION_LEVEL_NONE,
    Degradation.WITHOUT_FEATURES: personalization_pb.DEGRADATION_LEVEL_WITHOUT_FEATURES,
    Degradation.POPULARITY: personalization_pb.DEGRADATION_LEVEL_POPULARITY,
    Degradation.INCOMPLETE_FEATURES: personalization_pb.DEGRADATION_LEVEL_INCOMPLETE_FEATURES,
}

SILENCE = {
    Silence.LOW_VALUE: personalization_pb.NoAction.REASON_LOW_VALUE,
    Silence.FATIGUE: personalization_pb.NoAction.REASON_FATIGUE,
    Silence.NO_CONSENT: personalization_pb.NoAction.REASON_NO_CONSENT,
    Silence.NOT_ELIGIBLE: personalization_pb.NoAction.REASON_NOT_ELIGIBLE,
    Silence.HOLDOUT: personalization_pb.NoAction.REASON_HOLDOUT,
    Silence.PAUSED: personalization_pb.NoAction.REASON_PAUSED,
    Silence.MUTED: personalization_pb.NoAction.REASON_MUTED,
}


def decision_reply(decision: Decision, catalog: Catalog) -> bytes:
    """A decision with the items' names, as a serialised DecideInteractionResponse."""
    reply = personalization_pb.DecideInteractionResponse(
        decision_id=decision.decision_id,
        model_version=decision.model_version,
        freshness=_freshness(decision),
        profiled=decision.profiled,
        policy_version=decision.policy_version,
        experiment=decision.experiment,
        arm=decision.arm,
    )
    if decision.silence is not None:
        reply.no_action.reason = SILENCE[decision.silence]
        reply.no_action.detail = decision.detail
    candidates = [_candidate(each, catalog) for each in decision.ranked]
    return b"".join([reply.SerializeToString(), decision.intents, *candidates])


def _candidate(ranked: Ranked, catalog: Catalog) -> bytes:
    said = personalization_pb.Candidate(
        item_id=ranked.item_id,
        name=catalog.name(ranked.item_id),
        score=ranked.score,
        customer_value=ranked.customer_value,
        company_value=ranked.company_value,
        value=ranked.value,
        propensity=ranked.propensity,
        boost=ranked.boost,
        pinned=ranked.pinned,
    )
    return candidate(said, ranked.intents)


def _freshness(decision: Decision) -> personalization_pb.Freshness:
    freshness = personalization_pb.Freshness(
        interactions_seen=decision.interactions_seen,
        staleness=_duration(decision.staleness_s),
        degradation_level=DEGRADATION[decision.degradation],
    )
    if decision.newest_tick is not None:
        freshness.newest_event_time.CopyFrom(time_message(moment(decision.newest_tick)))
    return freshness


def customer_reply(held: Sequence[Held], consent: Consent) -> customer_pb.GetCustomerResponse:
    """What is held of a customer."""
    return customer_pb.GetCustomerResponse(
        consents=[
            customer_pb.Consent(purpose=purpose, allowed=allowed)
            for purpose, allowed in sorted(consent.said.items())
        ],
        interactions=[held_message(each) for each in held],
    )


def held_message(held: Held) -> customer_pb.HeldInteraction:
    """One interaction that is held."""
    return customer_pb.HeldInteraction(
        type=held.type,
        channel=held.channel,
        initiator=INITIATORS[held.initiator],
        item_id=held.item.item_id if held.item else "",
        item_name=held.item.name if held.item else "",
        event_time=time_message(held.event_time),
        approximate_amount=held.amount,
    )


def erasure_reply(receipt: Receipt) -> customer_pb.EraseCustomerResponse:
    """The receipt of an erasure."""
    return customer_pb.EraseCustomerResponse(
        erasure_time=time_message(receipt.erasure_time),
        anonymous_id_count=receipt.device_count,
        removals=[
            customer_pb.Removal(place=place, count=count)
            for place, count in receipt.removed.items()
        ],
        remaining=receipt.remaining,
    )


def item_reply(item: Item) -> catalog_pb.GetItemResponse:
    """An item as it was last written."""
    message = catalog_pb.Item(
        item_id=item.item_id,
        name=item.name,
        category=item.category,
        brand=item.brand,
        unavailable=item.unavailable,
        tags=item.tags,
    )
    if item.price is not None:
        message.price.amount = item.price
        message.price.currency_code = item.currency or ""
    return catalog_pb.GetItemResponse(item=message)


def model_message(registered: Registered, serving: Model | None) -> model_pb.Model:
    """A version, and whether it is the one that answers."""
    serves = serving is not None and serving.version == registered.version
    return model_pb.Model(
        version=registered.version,
        serving=serves,
        champion=registered.champion,
        create_time=time_message(registered.create_time),
        item_count=registered.item_count,
        provider=serving.scorer.provider if serves and serving is not None else "",
        metrics=registered.metrics,
    )


def time_message(moment: datetime) -> Timestamp:
    """A moment of UTC."""
    microseconds = (moment - EPOCH) // timedelta(microseconds=1)
    return Timestamp(seconds=microseconds // 10**6, nanos=microseconds % 10**6 * 1000)


def _duration(seconds: float) -> Duration:
    nanos = round(seconds * NANOS_PER_SECOND)
    return Duration(seconds=nanos // NANOS_PER_SECOND, nanos=nanos % NANOS_PER_SECOND)
