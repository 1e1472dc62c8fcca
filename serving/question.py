"""The question: what next, for this customer, in this channel, now?"""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from features.interaction import Interaction
from serving.items.asker import NOBODY, Asker
from serving.items.filters import Filter


@dataclass(frozen=True, slots=True)
class Boost:
    """By what the value of one item is multiplied, or of those that a filter lets through."""

    filter: Filter | None
    item_id: str
    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Checked at the door."""

    customer_key: str
    channel: str
    k: int
    placement: str = ""  # where in the channel the answer will be shown
    unasked: bool = False  # whether the company would turn to the customer by itself
    zone: ZoneInfo | None = None  # where the customer is
    candidates: tuple[str, ...] = ()  # empty: every item competes
    excluded: frozenset[str] = frozenset()
    filter: Filter | None = None
    asker: Asker = NOBODY
    rules: tuple[Filter, ...] = ()  # of the policy, for this asker
    owned: frozenset[str] = frozenset()  # what the customer has, and is not to have again
    boosts: tuple[Boost, ...] = ()
    pinned: tuple[str, ...] = ()  # stand first, where they may be offered
    new_items: int = 0  # so many that are new to the model compete in any case
    new_below: int = 0  # new is also what it knows from fewer interactions
    muted: frozenset[str] = frozenset()  # categories and brands, see features.topic
    muted_types: frozenset[str] = frozenset()  # nothing is offered that most probably leads to one
    interactions: tuple[Interaction, ...] = ()  # to record first
    recorded: tuple[Interaction, ...] = ()  # already, though it may not be visible yet
    only_looks: bool = False  # what is answered is shown to nobody as an offer, nor logged
    deadline: float | None = None  # in the loop's time

    @property
    def left_out(self) -> frozenset[str]:
        """Items that must not appear."""
        return self.excluded | self.owned if self.owned else self.excluded

    @property
    def own(self) -> tuple[Interaction, ...]:
        """What counts in the answer in any case."""
        return self.recorded + self.interactions
