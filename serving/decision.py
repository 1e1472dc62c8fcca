"""The decision: the answer to one question, and what it is based on."""

from dataclasses import dataclass

from features.policy.arbitration import Silence
from serving.policy.ranking import Ranked
from serving.remembering import Degradation


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer, and what it is based on."""

    decision_id: str
    ranked: list[Ranked]
    intents: bytes  # see serving.wire
    model_version: str
    interactions_seen: int
    newest_tick: int | None
    staleness_s: float
    degradation: Degradation
    profiled: bool  # whether the customer's history was allowed to count
    policy_version: str
    silence: Silence | None  # why nothing is offered
    detail: str  # more about that
    experiment: str  # and the customer's arm in it; empty where there is none
    arm: str
