"""Recording: what is kept of each decision, in threads of their own, never in its way.

K logged candidates   J offered ones
"""

import asyncio
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any

import numpy as np

from features.decisions.contract import open_stream
from features.decisions.decision import NOT_OFFERED, Candidates, LoggedDecision, time_of
from features.decisions.writer import DecisionWriter
from features.measures.customers import Measures
from features.measures.samples import Sample, SampleLog
from features.policy.arbitration import Silence
from features.policy.arms import Arm
from features.policy.favours import NOT_PINNED
from features.record import RECORD_BYTES, moment
from features.settings import Home
from features.vocabulary import Initiator, Vocabulary
from serving.decision import Decision
from serving.items.filters import every_of
from serving.items.removals import MUTED, removals
from serving.metrics import Metrics
from serving.model.scoring import Asked, Scored, now_tick
from serving.policy.considered import Considered
from serving.processes.leisure import at_leisure
from serving.remembering import Degradation
from serving.settings import ServingSettings

MAX_NAMED = 100  # items that a question names, of each kind, which are logged
HASH_BYTES = 8
FLOOR, LOW_VALUE, OUTRANKED = "customer-floor", "low-value", "outranked"  # by the policy


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision, and all that is to be recorded of how it came about."""

    decision: Decision
    asked: Asked
    scored: Scored
    measured: bool  # whether the customer lets decisions be analysed


class Recorder:
    """Keeps a share of what decisions knew (for `features skew`), and the decisions themselves."""

    def __init__(self, settings: ServingSettings, vocabulary: Vocabulary, metrics: Metrics) -> None:
        """Starts the threads, which open what they write to."""
        self._samples = SampleLog(
            Home(settings.home).samples,
            Measures(vocabulary, settings.max_records),
            share=settings.log_share,
        )
        self._writer: DecisionWriter[Decided] | None = None
        if settings.log_candidates:
            self._writer = DecisionWriter(
                partial(open_stream, settings),
                partial(logged, most=settings.log_candidates),
                note=metrics.logged,
                resting=at_leisure,
            )

    def record(self, decided: Decided, held: bytes) -> None:
        """Neither waits nor raises; `held` is all that was known of the customer."""
        decision, asked = decided.decision, decided.asked
        if decided.measured and decision.degradation is Degradation.NONE:
            key, staleness_s = asked.question.customer_key, decision.staleness_s
            self._samples.offer(Sample(decision.decision_id, key, now_tick(), staleness_s, held))
        if self._writer is not None:
            self._writer.offer(decided)

    async def flush(self) -> None:
        """Returns when what was decided so far is logged."""
        if self._writer is not None:
            await asyncio.to_thread(self._writer.flush)

    async def close(self) -> None:
        """Writes what waits."""
        await asyncio.to_thread(self._samples.close)
        if self._writer is not None:
            await asyncio.to_thread(self._writer.close)


def logged(decided: Decided, *, most: int) -> LoggedDecision:
    """A decision as it is logged: with at most so many candidates, those offered first."""
    decision, asked, scored = decided.decision, decided.asked, decided.scored
    question, considered = asked.question, scored.considered
    decide_time = time_of(decision.decision_id)
    assert decide_time is not None  # its id is ours
    count = len(considered.item_ids) if considered is not None else len(scored.ranked)
    history = b"" if scored.popular or not decided.measured else asked.history
    newest = int.from_bytes(history[-RECORD_BYTES:][:5], "big") if history else 0
    return LoggedDecision(
        decision_id=decision.decision_id,
        customer_key=question.customer_key if decided.measured else None,
        decide_time=decide_time,
        channel=question.channel,
        placement=question.placement,
        initiator=Initiator.COMPANY if question.unasked else Initiator.CUSTOMER,
        reason=reason_of(decision.silence),
        detail=decision.detail,
        experiment=decision.experiment,
        arm=decision.arm,
        degradation=decision.degradation.name,
        model_version=decision.model_version,
        policy_version=decision.policy_version,
        k=question.k,
        attention=considered.cost if considered is not None else 0.0,
        customer_floor=asked.terms.policy.customer_floor if asked.terms else 0.0,
        filter=question.filter.text if question.filter else "",
        asked_item_ids=list(question.candidates[:MAX_NAMED]),
        excluded_item_ids=sorted(question.excluded)[:MAX_NAMED],
        removed=_removed(decided, count),
        considered_count=count,
        history_count=len(history) // RECORD_BYTES,
        history_newest_time=moment(newest) if history else None,
        history_hash=hash_of(history),
        types=list(considered.types) if considered is not None else [],
        rule=every_of(question.rules),
        owned_item_ids=sorted(question.owned)[:MAX_NAMED] if decided.measured else [],
        **(_favours(considered) if considered is not None else {}),
        candidates=_candidates(considered, decision, most)
        if considered is not None
        else _popular(decision, most),
    )


def reason_of(silence: Silence | None) -> str:
    """Why nothing is offered, in kebab-case; empty where something is."""
    return silence.name.lower().replace("_", "-") if silence else ""


def hash_of(history: bytes) -> str:
    """Tells apart histories of one customer; empty for none."""
    return blake2b(history, digest_size=HASH_BYTES).hexdigest() if history else ""


def _removed(decided: Decided, count: int) -> dict[str, int]:
    asked, considered = decided.asked, decided.scored.considered
    if considered is None:  # nobody looked at the items
        return {}
    found = removals(asked.question, asked.catalog, count)
    floor = asked.terms.policy.customer_floor if asked.terms else 0.0
    muted_K = _muted(considered)
    harmful_K = ~muted_K & (considered.customer_K < floor)
    worthless_K = ~muted_K & ~harmful_K & (considered.value_K <= 0)
    worthless_K &= asked.arm is not Arm.PROPENSITY_ONLY  # where silence does not compete
    offered = 0 if decided.decision.silence else len(considered.at_J)
    muted, harmful, worthless = (int(each.sum()) for each in (muted_K, harmful_K, worthless_K))
    found[MUTED] = found.get(MUTED, 0) + muted
    found |= {FLOOR: harmful, LOW_VALUE: worthless}
    if offered:
        found[OUTRANKED] = count - muted - harmful - worthless - offered
    return {reason: number for reason, number in found.items() if number > 0}


def _muted(considered: Considered) -> np.ndarray:
    if considered.muted_K is None:
        return np.zeros(len(considered.item_ids), bool)
    return considered.muted_K


def _candidates(considered: Considered, decision: Decision, most: int) -> Candidates:
    """What was offered by position, then the rest by value."""
    count = len(considered.item_ids)
    position_K, propensity_K = np.full(count, NOT_OFFERED, np.int32), np.zeros(count)
    if decision.silence is None:
        position_K[considered.at_J] = np.arange(len(considered.at_J))
        propensity_K[considered.at_J] = considered.propensity_J
    place_K = np.where(position_K == NOT_OFFERED, count, position_K)
    order_K = np.lexsort((-considered.value_K, place_K))[:most]
    return Candidates(
        item_ids=[considered.item_ids[at] for at in order_K.tolist()],
        price_K=considered.price_K[order_K],
        probability_KT=considered.joint_KT[order_K],
        customer_K=considered.customer_K[order_K],
        company_K=considered.company_K[order_K],
        value_K=considered.value_K[order_K],
        muted_K=_muted(considered)[order_K],
        position_K=position_K[order_K],
        propensity_K=propensity_K[order_K],
    )


def _favours(considered: Considered) -> dict[str, Any]:
    """Which of the candidates are pinned, boosted and new."""
    favours, item_ids, found = considered.favours, considered.item_ids, dict[str, Any]()
    if favours.pin_N is not None:
        order = np.argsort(favours.pin_N, kind="stable")
        pinned = order[favours.pin_N[order] != NOT_PINNED]
        found["pinned_item_ids"] = [item_ids[at] for at in pinned.tolist()]
    if favours.boost_N is not None:
        boosted = np.flatnonzero(favours.boost_N != 1).tolist()
        found["boosts"] = {item_ids[at]: float(favours.boost_N[at]) for at in boosted}
    if favours.new_N is not None:
        found["new_item_ids"] = [item_ids[at] for at in np.flatnonzero(favours.new_N).tolist()]
    return found


def _popular(decision: Decision, most: int) -> Candidates:
    """What popularity offers: nothing is known of what it is worth, and nothing is drawn."""
    ranked = decision.ranked[:most]
    nothing_K = np.zeros(len(ranked))
    return Candidates(
        item_ids=[each.item_id for each in ranked],
        price_K=nothing_K,
        probability_KT=np.zeros((len(ranked), 0), np.float32),
        customer_K=nothing_K,
        company_K=nothing_K,
        value_K=nothing_K,
        muted_K=nothing_K.astype(bool),
        position_K=np.arange(len(ranked), dtype=np.int32),
        propensity_K=nothing_K,
    )
