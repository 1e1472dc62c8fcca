"""Logged decisions, for tests."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from features.decisions.decision import NOT_OFFERED, Candidates, LoggedDecision, new_decision_id
from features.record import EPOCH

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TYPES = ("view", "purchase")


def candidates(
    item_ids: Sequence[str] = ("apple", "bread"),
    *,
    joint: Sequence[Sequence[float]] = ((0.25, 0.125), (0.125, 0.0625)),
    offered: int = 1,
    propensity: float = 1.0,
) -> Candidates:
    """So many of the items were offered, in their order."""
    count, place = len(item_ids), np.arange(len(item_ids))
    probability_KT = np.array(joint, np.float32).reshape(count, len(TYPES))
    score_K = probability_KT.sum(axis=1).astype(float)
    return Candidates(
        item_ids=list(item_ids),
        price_K=np.full(count, 10.0),
        probability_KT=probability_KT,
        customer_K=score_K,
        company_K=score_K,
        value_K=score_K,
        muted_K=np.zeros(count, bool),
        position_K=np.where(place < offered, place, NOT_OFFERED).astype(np.int32),
        propensity_K=np.where(place < offered, propensity, 0.0),
    )


def decided(number: int = 0, **changes: object) -> LoggedDecision:
    """A decision for ada on the web, `number` minutes after noon: apple before bread."""
    when = NOON + timedelta(minutes=number)
    fields: dict[str, object] = {
        "decision_id": new_decision_id((when - EPOCH) // timedelta(milliseconds=1)),
        "customer_key": "ada",
        "decide_time": when,
        "channel": "web",
        "initiator": "CUSTOMER",
        "degradation": "NONE",
        "model_version": "1",
        "policy_version": "even",
        "k": 1,
        "types": list(TYPES),
        "considered_count": 2,
        "candidates": candidates(),
    }
    return LoggedDecision(**(fields | changes))  # type: ignore[arg-type]
