"""Explaining: finds a logged decision, and asks the model again without one interaction each."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.decisions.decision import LoggedDecision
from features.held import Held, held_interactions
from features.record import RECORD, RECORD_BYTES, merge, pack, tick, unpack
from features.vocabulary import Initiator
from serving.batching.batcher import BatchError
from serving.customers import Customers
from serving.decider import Decider
from serving.errors import NotFoundError, UnavailableError
from serving.explanation import Explanation, Influences, endings_of
from serving.explanation_words import LESS_POPULAR, UNKNOWN_ITEM, WITHHELD
from serving.items.filters import FilterError, compiled
from serving.items.removals import (
    EXCLUDED,
    FILTER,
    NOT_ASKED_FOR,
    OWNED,
    RANKED_LOWER,
    RULE,
    UNAVAILABLE,
)
from serving.memory import Memory
from serving.model.scoring import Asked, Scored
from serving.question import Question
from serving.recording import hash_of
from serving.rollout.canary import Pair

MOST_LEFT_OUT = 50  # of the newest interactions, one at a time
MOST_TOLD = 5


@dataclass(frozen=True, slots=True)
class _Influenced:
    """What moved the score of an item, or why that cannot be told."""

    item_id: str = ""
    influences: Influences = ()
    why_none: str = ""
    exact: bool = True


class Explainer:
    """Explains decisions. Raises NotFoundError and UnavailableError."""

    def __init__(self, memory: Memory, customers: Customers, decider: Decider) -> None:
        """Looks things up with these."""
        self._memory, self._customers, self._decider = memory, customers, decider

    async def explain(self, decision_id: str, item_id: str, *, deadline: float) -> Explanation:
        """`item_id` is asked about; empty: none."""
        decision = await self._find(decision_id)
        catalog, endings = self._memory.catalog, endings_of(decision)
        moved = await self._influences(decision, item_id, deadline)
        names = {each: catalog.name(each) for each in (*decision.candidates.item_ids, item_id)}
        return Explanation(
            decision=decision,
            names=names,
            endings=endings,
            item_id=item_id,
            item_ending=self._ending(decision, endings, item_id) if item_id else "",
            influenced=moved.item_id,
            influences=moved.influences,
            exact=moved.exact,
            why_none=moved.why_none,
        )

    async def _find(self, decision_id: str) -> LoggedDecision:
        """Looks again once what this process has decided is logged."""
        found = await self._customers.decision(decision_id)
        if found is None:
            await self._decider.recorder.flush()
            found = await self._customers.decision(decision_id)
        if found is None:
            text = f"decision_id is {decision_id!r}: no such decision is logged, or kept any longer"
            raise NotFoundError(text)
        return found

    def _ending(self, decision: LoggedDecision, endings: Sequence[str], item_id: str) -> str:
        """What became of an item, as far as what is logged and the catalog now can tell."""
        ids, catalog = list(decision.candidates.item_ids), self._memory.catalog
        if item_id in ids:
            return endings[ids.index(item_id)]
        if item_id in decision.excluded_item_ids:
            return EXCLUDED
        if decision.asked_item_ids and item_id not in decision.asked_item_ids:
            return NOT_ASKED_FOR
        place = catalog.axis.place(item_id)
        if not catalog.holds(item_id) or place is None:
            return UNKNOWN_ITEM
        if not catalog.axis.available_V[place]:
            return UNAVAILABLE
        if item_id in decision.owned_item_ids:
            return OWNED
        if self._is_filtered(decision.rule, place):
            return RULE
        if self._is_filtered(decision.filter, place):
            return FILTER
        if decision.types:
            return RANKED_LOWER
        return WITHHELD if decision.reason else LESS_POPULAR  # nobody asked the model

    def _is_filtered(self, filter: str, place: int) -> bool:
        try:
            columns = self._memory.catalog.axis.columns.at(np.array([place]))
            return bool(filter) and not bool(compiled(filter).mask(columns)[0])
        except FilterError:  # of another version of the language
            return False

    # ---- What moved the score -------------------------------------------------------------------

    async def _influences(
        self, decision: LoggedDecision, item_id: str, deadline: float
    ) -> _Influenced:
        ids = list(decision.candidates.item_ids)
        pair = self._decider.pair_of(decision.model_version)
        target = item_id or (ids[0] if ids else "")
        if why := _why_not(decision, target, pair):
            return _Influenced(why_none=why)
        assert pair is not None and decision.customer_key is not None
        history, exact = await self._history_at(decision, decision.customer_key, deadline)
        if not history:
            return _Influenced(why_none="they are no longer held")
        starts = range(0, len(history), RECORD_BYTES)[-MOST_LEFT_OUT:]
        without = [history[:at] + history[at + RECORD_BYTES :] for at in starts]
        try:
            scored = await self._decider.rescore(
                [self._again(decision, pair, target, each) for each in (history, *without)]
            )
        except Exception as error:  # whatever the model raises, the rest can be told
            return _Influenced(why_none=f"the model cannot be asked now ({type(error).__name__})")
        scores = [_score_of(each, target) for each in scored]
        if None in scores:
            return _Influenced(why_none="the item is not available any more")
        with_all, *others = [each or 0.0 for each in scores]
        held = self._held(history)[: len(others)][::-1]  # oldest first, as the starts are
        moved = [(each, with_all - other) for each, other in zip(held, others, strict=True)]
        moved.sort(key=lambda each: -abs(each[1]))
        told = [each for each in moved[:MOST_TOLD] if each[1]]
        return _Influenced(target, told, exact=exact)

    def _again(self, decision: LoggedDecision, pair: Pair, target: str, history: bytes) -> Asked:
        """The question as it was, so that only the history differs."""
        terms, candidates = self._decider.terms, {*decision.candidates.item_ids, target}
        question = Question(
            customer_key="",
            channel=decision.channel,
            k=len(candidates),
            unasked=decision.initiator == Initiator.COMPANY,
            candidates=tuple(sorted(candidates)),
            only_looks=True,
        )
        when = tick(decision.decide_time)
        asked_ns, answering = time.time_ns(), (pair.model, pair.catalog)
        return Asked(
            *(*answering, question, history, asked_ns, terms.weight_T, question.k, terms),
            at_tick=when,
        )

    async def _history_at(
        self, decision: LoggedDecision, customer_key: str, deadline: float
    ) -> tuple[bytes, bool]:
        """The records that counted, and whether they are surely the same ones.

        On-line only the newest are held; log and history hold all.
        """
        newest_time = decision.history_newest_time
        if newest_time is None:
            return b"", True
        last = tick(newest_time)
        try:
            known = (await self._memory.read(customer_key, deadline=deadline)).known
        except BatchError as failure:
            raise UnavailableError("the features cannot be read now: try again") from failure
        online = _up_to(known.history, last)
        if hash_of(online) == decision.history_hash:
            return online, True
        vocabulary = self._memory.vocabulary
        whole = (await self._customers.look_up(known.joined_to or customer_key)).interactions
        packed = b"".join(pack(each, vocabulary) for each in whole if each.type in vocabulary.types)
        records = merge(_up_to(packed, last), b"", max_records=max(len(packed), 1))
        records = records[-max(decision.history_count, 1) * RECORD_BYTES :]
        return records, hash_of(records) == decision.history_hash

    def _held(self, history: bytes) -> list[Held]:
        items = self._memory.catalog.by_hash
        return held_interactions(history, self._memory.vocabulary, items)


def _why_not(decision: LoggedDecision, target: str, pair: Pair | None) -> str:
    """Why what moved a score cannot be told; empty where it can."""
    if decision.customer_key is None:
        return "the customer has not agreed that decisions are analysed"
    if not target or not decision.types:
        return "no item was scored"
    if not decision.history_count:
        return "no past interaction counted"
    if pair is None:
        return f"model {decision.model_version}, which decided, does not serve any more"
    return ""


def _up_to(history: bytes, last_tick: int) -> bytes:
    records = np.frombuffer(history, RECORD)
    return records[unpack(records).tick <= last_tick].tobytes()


def _score_of(scored: Scored, item_id: str) -> float | None:
    """None where the item does not compete, or the model could not run."""
    considered = scored.considered
    if considered is None or item_id not in considered.item_ids:
        return None
    at = list(considered.item_ids).index(item_id)
    return float(considered.joint_KT[at].sum())
