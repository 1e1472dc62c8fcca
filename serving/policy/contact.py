"""The contact policy: whether a customer may be turned to, here and now, and why not.

Pure functions of what is known of the customer: the history, and the ledger of attention.
"""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from features.attention import Spendings, spendings
from features.policy.restraint import Quiet
from features.record import RECORD, Columns, moment, unpack
from serving.policy.budget import TICKS_PER_DAY, counting, left
from serving.policy.contact_terms import ContactTerms, TypedLimit

TICKS_PER_MINUTE = TICKS_PER_DAY // 1440

# Why nothing is offered; beside them after-TYPE, such as after-dismissal.
UNKNOWN = "unknown"  # what was said and done before cannot be read
QUIET_HOURS = "quiet-hours"
OPEN_CASE = "open-case"
LIMIT = "limit"
BUDGET = "budget"


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Whoever would be turned to, or answered, and what is known of them."""

    customer_key: str  # whose attention it is
    channel: str
    unasked: bool
    zone: ZoneInfo | None
    history: bytes
    ledger: bytes
    whole: bool  # whether these are all that there is


@dataclass(frozen=True, slots=True)
class _Known:
    """The same, unpacked."""

    history: Columns
    spent: Spendings
    counts: np.ndarray  # which of the spendings do
    now_tick: int


def withheld(terms: ContactTerms, situation: Situation, now_tick: int) -> str:
    """Why nothing may be offered, as a kebab-case word; empty if it may."""
    if not situation.whole:
        return UNKNOWN if situation.unasked else ""
    budget, spent = terms.rules.budget, spendings(situation.ledger)
    history = unpack(np.frombuffer(situation.history, RECORD))
    known = _Known(history, spent, counting(spent, budget, now_tick), now_tick)
    if situation.unasked and (reason := _restrained(terms, situation, known)):
        return reason
    cost = budget.cost(situation.channel, unasked=situation.unasked)
    return BUDGET if cost and cost > attention_left(terms, history, spent, now_tick) else ""


def attention_left(terms: ContactTerms, history: Columns, spent: Spendings, now_tick: int) -> float:
    """What the customer has left of the budget."""
    own = history.company == 0
    return left(
        terms.rules.budget,
        spent,
        history,
        welcome=terms.welcome[history.type] & own,
        dismissals=terms.dismissing[history.type] & own,
        now_tick=now_tick,
    )


def _restrained(terms: ContactTerms, situation: Situation, known: _Known) -> str:
    quiet, history = terms.rules.quiet, known.history
    if quiet is not None and is_quiet(quiet, situation.zone, moment(known.now_tick)):
        return QUIET_HOURS
    if _is_open(terms, history, known.now_tick):
        return OPEN_CASE
    for name, code, ticks in terms.after:
        if (history.tick[history.type == code] > known.now_tick - ticks).any():
            return f"after-{name}"
    reached = any(_is_reached(each, situation.channel, known) for each in terms.limits)
    return LIMIT if reached else ""


def is_quiet(quiet: Quiet, zone: ZoneInfo | None, now: datetime) -> bool:
    """Whether it is between these hours where the customer is."""
    hour = now.astimezone(zone or ZoneInfo(quiet.zone)).hour
    if quiet.begin <= quiet.end:
        return quiet.begin <= hour < quiet.end
    return hour >= quiet.begin or hour < quiet.end


def _is_open(terms: ContactTerms, history: Columns, now_tick: int) -> bool:
    """Whether the latest case was opened not too long ago, and has not been closed since."""
    opened = history.tick[terms.opening[history.type]]
    closed = history.tick[terms.closing[history.type]]
    if not len(opened) or opened[-1] <= now_tick - terms.rules.open_case.days * TICKS_PER_DAY:
        return False
    return not (len(closed) and closed[-1] >= opened[-1])


def _is_reached(typed: TypedLimit, channel: str, known: _Known) -> bool:
    """Whether one more contact would be too many.

    Contacts are what the history says, in one minute one, and what the ledger says and the history
    does not yet; or all of the ledger, if that is more: it may know of older ones.
    """
    limit, history, spent = typed.limit, known.history, known.spent
    if limit.channel not in (None, channel):
        return False
    since = known.now_tick - limit.days * TICKS_PER_DAY
    made = (history.company == 1) & typed.types[history.type] & (history.tick > since)
    spent_here = known.counts & (spent.tick > since)
    if limit.channel is not None:
        made &= history.channel == typed.channel_code
        spent_here &= spent.channel == typed.channel_code
    seen = len(np.unique(history.tick[made] // TICKS_PER_MINUTE))
    waiting = int((spent_here & ~spent.shown).sum())
    return max(seen + waiting, int(spent_here.sum())) >= limit.most
