"""All that one simulated day hands to the next."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from features.simulation.catalog import Catalog
from features.simulation.customers import Customers
from features.simulation.ledger import Ledger

SECOND = 1_000_000  # times are microseconds
HOUR = 3600 * SECOND
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Visits:
    """Visits of customers, on one day each customer once; `time` is that of the next step."""

    who: np.ndarray
    time: np.ndarray
    channel: np.ndarray
    session: np.ndarray

    def __len__(self) -> int:
        return len(self.who)

    def __getitem__(self, chosen: np.ndarray) -> "Visits":
        return Visits(
            self.who[chosen], self.time[chosen], self.channel[chosen], self.session[chosen]
        )


@dataclass(frozen=True, slots=True)
class Purchases:
    """What was bought, one row an item."""

    visits: Visits
    items: np.ndarray
    quantities: np.ndarray
    amounts: np.ndarray

    def __getitem__(self, chosen: np.ndarray) -> "Purchases":
        return Purchases(
            self.visits[chosen], self.items[chosen], self.quantities[chosen], self.amounts[chosen]
        )


def together(parts: Sequence[Visits]) -> Visits:
    """Visits of several kinds as one."""
    return Visits(
        np.concatenate([each.who for each in parts]),
        np.concatenate([each.time for each in parts]),
        np.concatenate([each.channel for each in parts]),
        np.concatenate([each.session for each in parts]),
    )


def all_bought(parts: Sequence[Purchases]) -> Purchases:
    """Purchases of several steps as one."""
    return Purchases(
        together([each.visits for each in parts]),
        np.concatenate([each.items for each in parts]),
        np.concatenate([each.quantities for each in parts]),
        np.concatenate([each.amounts for each in parts]),
    )


@dataclass(frozen=True, slots=True)
class Experience:
    """What befalls customers on a coming day, and turns their mind to what they bought."""

    who: np.ndarray
    time: np.ndarray
    grief: np.ndarray


@dataclass(slots=True)
class World:
    """The shop, its customers, chance, and what is still to come."""

    catalog: Catalog
    customers: Customers
    ledger: Ledger
    random: np.random.Generator
    sessions: int = 0
    decisions: int = 0
    messages: list[dict[str, np.ndarray]] = field(default_factory=list)  # truth
    coming: dict[int, list[Experience]] = field(default_factory=dict)  # by midnight

    def number_sessions(self, count: int) -> np.ndarray:
        """Numbers of new sessions."""
        self.sessions += count
        return np.arange(self.sessions - count, self.sessions)

    def number_decisions(self, count: int) -> np.ndarray:
        """Numbers of new decisions."""
        self.decisions += count
        return np.arange(self.decisions - count, self.decisions)

    def chance(self, likelihood: np.ndarray) -> np.ndarray:
        """For each likelihood, whether it happens."""
        happens: np.ndarray = self.random.random(len(likelihood)) < likelihood
        return happens
