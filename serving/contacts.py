"""Contacts: whether a customer may be turned to, and what that spends of their attention, once.

What is spent is appended to the ledger as it was read, or not at all: of two decisions at the same
moment, in whatever processes, one finds that the ledger has changed, and looks again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from features.attention import spending
from features.online.store import Debit
from features.policy.arbitration import Silence
from features.vocabulary import OTHER_CHANNEL_CODE
from serving.errors import UnavailableError
from serving.memory import Memory
from serving.model.scoring import Asked, Scored, now_tick, unwelcome
from serving.policy.contact import BUDGET, UNKNOWN, Situation, withheld
from serving.policy.contact_terms import ContactTerms
from serving.policy.terms import Terms
from serving.question import Question
from serving.remembering import Degradation, Remembered

ATTEMPTS = 3  # at a ledger that others change meanwhile: one of them is enough but for contention


@dataclass(frozen=True, slots=True)
class Wish:
    """A decision to offer something, which spends attention."""

    decision_id: str
    situation: Situation
    terms: ContactTerms

    @property
    def cost(self) -> float:
        """What it spends."""
        situation = self.situation
        return self.terms.rules.budget.cost(situation.channel, unasked=situation.unasked)


def spends(question: Question, terms: Terms) -> bool:
    """Whether an offer takes a look at the customer's attention."""
    return question.unasked or terms.policy.contact.budget.asked > 0


def restrained(asked: Asked, remembered: Remembered) -> Scored | None:
    """Silence, where this is not the time, or there is no attention left; else None."""
    terms = asked.terms
    if terms is None or not spends(asked.question, terms):
        return None
    reason = withheld(terms.contact, _situation(asked.question, remembered), now_tick())
    return unwelcome(asked, Silence.FATIGUE, reason) if reason else None


async def pay(
    decision_ids: Sequence[str],
    every_asked: Sequence[Asked],
    every_remembered: Sequence[Remembered],
    results: Sequence[Scored],
    memory: Memory,
) -> list[Scored]:
    """Spends what offers cost, in one round trip; where that fails, the answer is silence."""
    paid, wishes = list(results), dict[int, Wish]()
    every = zip(decision_ids, every_asked, every_remembered, results, strict=True)
    for at, (decision_id, asked, remembered, result) in enumerate(every):
        question, terms = asked.question, asked.terms
        if terms is None or not result.ranked or question.only_looks or not spends(question, terms):
            continue
        wish = Wish(decision_id, _situation(question, remembered), terms.contact)
        if wish.cost and wish.situation.whole:  # else, somebody who is here is answered
            wishes[at] = wish
    if wishes:
        reasons = await _spend(list(wishes.values()), memory, now_tick=now_tick())
        for at, reason in zip(wishes, reasons, strict=True):
            if reason:
                paid[at] = replace(paid[at], ranked=[], silence=Silence.FATIGUE, detail=reason)
    return paid


def _situation(question: Question, remembered: Remembered) -> Situation:
    return Situation(
        customer_key=remembered.customer_key,
        channel=question.channel,
        unasked=question.unasked,
        zone=question.zone,
        history=remembered.history,
        ledger=remembered.attention,
        whole=remembered.degradation is Degradation.NONE,
    )


async def _spend(wishes: Sequence[Wish], memory: Memory, *, now_tick: int) -> list[str]:
    """Why each wish is not granted, see policy.contact; empty where it is, and is paid for."""
    reasons, waiting = [BUDGET] * len(wishes), dict(enumerate(wishes))
    for _ in range(ATTEMPTS):
        if not waiting:
            break
        found = await _append(list(waiting.values()), memory, now_tick)
        tried, waiting = waiting, {}
        for (at, wish), (ledger, reason) in zip(tried.items(), found, strict=True):
            reasons[at] = reason
            if ledger is not None:
                changed = replace(wish, situation=replace(wish.situation, ledger=ledger))
                reasons[at] = withheld(changed.terms, changed.situation, now_tick)
                if not reasons[at]:
                    reasons[at], waiting[at] = BUDGET, changed
    return reasons


async def _append(
    wishes: Sequence[Wish], memory: Memory, now_tick: int
) -> list[tuple[bytes | None, str]]:
    """For each wish the ledger that another one has changed, or else how it ended."""
    try:
        found = await memory.spend([_debit(each, now_tick) for each in wishes])
    except UnavailableError:
        return [(None, UNKNOWN)] * len(wishes)
    return [
        (None, UNKNOWN)  # erased meanwhile
        if ledger is None
        else (None, "")
        if ledger == wish.situation.ledger
        else (ledger, "")
        for wish, ledger in zip(wishes, found, strict=True)
    ]


def _debit(wish: Wish, now_tick: int) -> Debit:
    situation, terms = wish.situation, wish.terms
    record = spending(
        situation.ledger,
        wish.decision_id,
        cost=wish.cost,
        channel=terms.channel_codes.get(situation.channel, OTHER_CHANNEL_CODE),
        now_tick=now_tick,
    )
    return Debit(situation.customer_key, situation.ledger, record)
