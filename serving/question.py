"""The question: what next, for this customer, in this channel, now?"""

from dataclasses import dataclass

from features.interaction import Interaction
from serving.items.filters import Filter


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Checked at the door."""

    customer_key: str
    channel: str
    k: int
    unasked: bool = False  # whether the company would turn to the customer by itself
    candidates: tuple[str, ...] = ()  # empty: every item competes
    excluded: frozenset[str] = frozenset()
    filter: Filter | None = None
    interactions: tuple[Interaction, ...] = ()  # to record first
    deadline: float | None = None  # in the loop's time
