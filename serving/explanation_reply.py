"""The reply of ExplainDecision: an explanation becomes the API's message."""

from interplay.v1 import decision_service_pb2 as decision_pb
from interplay.v1 import personalization_service_pb2 as personalization_pb

from features.decisions.decision import NOT_OFFERED
from features.held import Held
from features.vocabulary import Initiator
from serving.explanation import Explanation
from serving.remembering import Degradation
from serving.replies import DEGRADATION, INITIATORS, held_message, time_message


def explanation_reply(explanation: Explanation) -> decision_pb.ExplainDecisionResponse:
    """All of it."""
    decision = explanation.decision
    reply = decision_pb.ExplainDecisionResponse(
        sentences=explanation.sentences(),
        decide_time=time_message(decision.decide_time),
        channel=decision.channel,
        placement=decision.placement,
        initiator=INITIATORS[Initiator(decision.initiator)],
        considered=_considered(explanation),
        kept_out=[
            decision_pb.KeptOut(reason=reason, count=count)
            for reason, count in decision.removed.items()
        ],
        influences=[_influence(*each) for each in explanation.influences],
        influenced_item_id=explanation.influenced,
        model_version=decision.model_version,
        policy_version=decision.policy_version,
        degradation_level=DEGRADATION[Degradation[decision.degradation]],
    )
    if decision.reason:
        name = f"REASON_{decision.reason.upper().replace('-', '_')}"
        reply.no_action.CopyFrom(personalization_pb.NoAction(reason=name))
    if explanation.item_id:
        reply.item.item_id = explanation.item_id
        reply.item.ending = explanation.item_ending
        reply.item.sentence = explanation.item_sentence
    return reply


def _considered(explanation: Explanation) -> list[decision_pb.ConsideredItem]:
    candidates = explanation.decision.candidates
    found = []
    for at, item_id in enumerate(candidates.item_ids):
        position = int(candidates.position_K[at])
        found.append(
            decision_pb.ConsideredItem(
                item_id=item_id,
                name=explanation.names.get(item_id, ""),
                ending=explanation.endings[at],
                position=None if position == NOT_OFFERED else position,
                score=float(candidates.probability_KT[at].sum()),
                customer_value=float(candidates.customer_K[at]),
                company_value=float(candidates.company_K[at]),
                value=float(candidates.value_K[at]),
                propensity=float(candidates.propensity_K[at]),
                boost=explanation.decision.boosts.get(item_id, 0.0),
                pinned=item_id in explanation.decision.pinned_item_ids,
            )
        )
    return found


def _influence(held: Held, change: float) -> decision_pb.Influence:
    return decision_pb.Influence(interaction=held_message(held), change=change)
