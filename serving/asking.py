"""Asking: a request to decide becomes a question, and every rule that it breaks is told at once."""

from collections.abc import Iterator

from google.protobuf.duration_pb2 import Duration
from interplay.v1 import interaction_pb2 as interaction_pb
from interplay.v1 import personalization_service_pb2 as personalization_pb

from features.interaction import (
    MAX_CHANNEL_BYTES,
    Violation,
    check_channel,
    check_customer,
    check_id,
    check_text,
    customer_key,
)
from features.policy.eligibility import MAX_BOOSTS, MAX_FACTOR, MAX_PINNED
from serving.door import MAX_BATCH, NANOS_PER_SECOND, Door, interactions_of
from serving.errors import InvalidError
from serving.items.asker import Asker
from serving.items.catalog import Catalog
from serving.question import Boost, Question

MAX_CANDIDATES = 1000
MAX_K = 100
DEFAULT_K = 10
MAX_AGE = 150


def question_of(
    request: personalization_pb.DecideInteractionRequest,
    door: Door,
    *,
    catalog: Catalog,
    deadline: float,
) -> Question:
    """The question that a request asks; raises InvalidError."""
    customer = request.customer_id or None, request.anonymous_id or None
    door.note(check_customer(*customer))
    door.note(check_channel(request.channel))
    door.note(check_text("placement", request.placement, MAX_CHANNEL_BYTES))
    if not 0 <= request.k <= MAX_K:
        rule = f"must be 1 to {MAX_K}, or 0 for {DEFAULT_K}"
        door.note([Violation("k", str(request.k), rule)])
    if request.initiator not in interaction_pb.Initiator.values():
        door.note([Violation("initiator", str(request.initiator), "must be CUSTOMER or COMPANY")])
    door.check_item_ids("candidate_item_ids", request.candidate_item_ids, MAX_CANDIDATES)
    door.check_item_ids("excluded_item_ids", request.excluded_item_ids, MAX_BATCH)
    door.check_item_ids("pinned_item_ids", request.pinned_item_ids, MAX_PINNED)
    if request.strict_item_ids:
        door.check_held(items_named_by(request), catalog)
    interactions = interactions_of(request.interactions, door, least=0, customer=customer)
    asker, boosts = _asker(request, door), _boosts(request, door)
    filter, zone = door.filter_of(request.filter), door.zone_of(request.time_zone)
    door.close()
    return Question(
        customer_key=customer_key(*customer),
        channel=request.channel,
        placement=request.placement,
        k=request.k or DEFAULT_K,
        unasked=request.initiator == interaction_pb.INITIATOR_COMPANY,
        zone=zone,
        candidates=tuple(request.candidate_item_ids),
        excluded=frozenset(request.excluded_item_ids),
        filter=filter,
        asker=asker,
        boosts=boosts,
        pinned=tuple(request.pinned_item_ids),
        interactions=interactions,
        deadline=deadline,
    )


def items_named_by(
    request: personalization_pb.DecideInteractionRequest
    | personalization_pb.RecordInteractionsRequest,
) -> dict[str, str]:
    """Every item id in a request, by the field that names it."""
    named = {
        f"interactions[{at}].item_id": each.item_id for at, each in enumerate(request.interactions)
    }
    if isinstance(request, personalization_pb.DecideInteractionRequest):
        for name in ("candidate_item_ids", "excluded_item_ids", "pinned_item_ids"):
            ids = getattr(request, name)
            named.update((f"{name}[{at}]", item_id) for at, item_id in enumerate(ids))
    return named


def hint_s(request: personalization_pb.DecideInteractionRequest) -> float | None:
    """The deadline hint in seconds; None where there is none. Raises InvalidError."""
    if not request.HasField("deadline_hint"):
        return None
    given = request.deadline_hint
    if given == Duration() or given.seconds < 0 or not 0 <= given.nanos < NANOS_PER_SECOND:
        value = f"{given.seconds} s {given.nanos} ns"
        raise InvalidError([Violation("deadline_hint", value, "must be more than 0 s")])
    return float(given.seconds + given.nanos / NANOS_PER_SECOND)


def _asker(request: personalization_pb.DecideInteractionRequest, door: Door) -> Asker:
    """What the request says of its customer."""
    door.note(check_text("region", request.region, MAX_CHANNEL_BYTES))
    age = request.age if request.HasField("age") else None
    if age is not None and not 0 <= age <= MAX_AGE:
        door.note([Violation("age", str(age), f"must be 0 to {MAX_AGE}")])
    return Asker(request.region, age)


def _boosts(request: personalization_pb.DecideInteractionRequest, door: Door) -> tuple[Boost, ...]:
    door.check_size("boosts", request.boosts, MAX_BOOSTS, least=0)
    found = []
    for at, each in enumerate(request.boosts[:MAX_BOOSTS]):
        door.note(_faults(each), within=f"boosts[{at}].")
        filter = door.filter_of(each.filter, f"boosts[{at}].filter")
        found.append(Boost(filter, each.item_id, each.factor))
    return tuple(found)


def _faults(boost: personalization_pb.Boost) -> Iterator[Violation]:
    if not 0 < boost.factor <= MAX_FACTOR:  # NaN neither
        rule = f"must be more than 0, and at most {MAX_FACTOR:g}"
        yield Violation("factor", str(boost.factor), rule)
    if bool(boost.filter) == bool(boost.item_id):
        given = "both are set" if boost.filter else "neither is set"
        yield Violation("item_id", given, "one of filter and item_id is required")
    if boost.item_id:
        yield from check_id("item_id", boost.item_id)
