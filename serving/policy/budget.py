"""The budget of attention: what a customer has left, computed from ledger and history.

It begins full, and each event moves it: what was spent, and a further loss for what was ignored or
dismissed; a gain for each day on which the customer came. Between them it fills with time.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from features.attention import Spendings
from features.policy.restraint import Budget
from features.record import TICKS_PER_SECOND, Columns

TICKS_PER_HOUR = 3600 * TICKS_PER_SECOND
TICKS_PER_DAY = 24 * TICKS_PER_HOUR

Event = tuple[int, float]
"""When, and by how much."""


def counting(spent: Spendings, budget: Budget, now_tick: int) -> np.ndarray:
    """Which spendings count: those that were shown, or still may be."""
    return spent.shown | (spent.tick > now_tick - budget.unseen_hours * TICKS_PER_HOUR)


def left(
    budget: Budget,
    spent: Spendings,
    history: Columns,
    *,
    welcome: np.ndarray,
    dismissals: np.ndarray,
    now_tick: int,
) -> float:
    """From -capacity to capacity. `welcome` and `dismissals` say it of each of the history."""
    events = [
        *_spent(budget, spent, history, now_tick),
        *((tick, -budget.dismissed) for tick in history.tick[dismissals].tolist()),
        *((tick, budget.engaged) for tick in _days(history.tick[welcome])),
    ]
    return _replay(budget, sorted(events), now_tick)


def _spent(budget: Budget, spent: Spendings, history: Columns, now_tick: int) -> Iterator[Event]:
    """What was spent, and lost once it had been ignored for long enough."""
    counts = counting(spent, budget, now_tick)
    own = history.tick[history.company == 0]
    known_from = int(history.tick[0]) if len(history.tick) else 0  # of older times nobody knows
    wait = int(budget.ignored_days * TICKS_PER_DAY)
    for tick, cost in zip(spent.tick[counts].tolist(), spent.cost[counts].tolist(), strict=True):
        yield tick, -cost
        if tick >= known_from and tick + wait <= now_tick:
            first, last = np.searchsorted(own, [tick, tick + wait], side="right")
            if first == last:
                yield tick + wait, -budget.ignored


def _days(ticks: np.ndarray) -> list[int]:
    """The first of each day."""
    _, first = np.unique(ticks // TICKS_PER_DAY, return_index=True)
    days: list[int] = ticks[first].tolist()
    return days


def _replay(budget: Budget, events: Iterable[Event], now_tick: int) -> float:
    capacity, then = budget.capacity, 0
    per_tick = budget.per_day / TICKS_PER_DAY
    held = capacity
    for tick, change in events:
        held = min(capacity, held + (tick - then) * per_tick)
        held = max(-capacity, min(capacity, held + change))
        then = tick
    return min(capacity, held + (now_tick - then) * per_tick)
