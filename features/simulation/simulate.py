"""Runs the simulated world day by day, and writes history, items and truth."""

import hashlib
from collections.abc import Callable
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, time, timedelta
from time import perf_counter

import numpy as np

from features.catalog_parts import write_items
from features.settings import Home
from features.simulation.aftersales import follow_up, undergo
from features.simulation.catalog import GROUPS, make_catalog
from features.simulation.contacts import Choose, by_lot, send_messages, show_slates
from features.simulation.customers import customer_ids, make_customers
from features.simulation.ledger import ROWS_A_PART, SOURCE, Kind, Ledger, vocabulary_names
from features.simulation.sessions import arrivals, go_shopping
from features.simulation.truth import write_truth
from features.simulation.world import DAY, World, all_bought, together
from features.vocabulary import Initiator, Vocabulary

MIN_ITEMS = GROUPS
EARLIEST_START = datetime(2000, 1, 1, tzinfo=UTC)


class SimulationError(ValueError):
    """A simulation that cannot be; the text says what would be right."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What determines a simulation: the same scenario gives the same history."""

    customers: int
    days: int
    items: int
    seed: int
    until: datetime  # midnight UTC: the history ends before it

    @property
    def start(self) -> datetime:
        """The first midnight."""
        return self.until - timedelta(days=self.days)

    @property
    def name(self) -> str:
        """Tells this scenario from others in the names of parts and interactions."""
        digest = hashlib.sha256(repr(astuple(self)).encode())
        return f"{SOURCE}-{digest.hexdigest()[:12]}"


@dataclass(frozen=True, slots=True)
class Simulated:
    """What a simulation wrote."""

    types: dict[str, int]  # interactions of each type
    seconds: float  # all of it, writing included

    @property
    def written(self) -> int:
        """How many interactions."""
        return sum(self.types.values())

    @property
    def rate(self) -> float:
        """Interactions a second."""
        return self.written / self.seconds


def simulate(
    scenario: Scenario,
    home: Home,
    *,
    vocabulary: Vocabulary,
    progress: Callable[[int], None] = lambda days: None,
) -> Simulated:
    """Writes a scenario's history, items and truth; tells `progress` each day.

    Cut off and done again, it writes the same.
    """
    began = perf_counter()
    _check(scenario, home)
    check_vocabulary(vocabulary)
    world = make_world(scenario, home)
    write_items(home, world.catalog.items)
    start = int(scenario.start.timestamp()) * 1_000_000
    for day in range(scenario.days):
        midnight = start + day * DAY
        live(world, day, midnight)
        if world.ledger.waiting >= ROWS_A_PART or day == scenario.days - 1:
            world.ledger.write(before=midnight + DAY)
        progress(1)
    write_truth(world, scenario.start, home.truth)
    return Simulated(world.ledger.counts(), perf_counter() - began)


def check_vocabulary(vocabulary: Vocabulary) -> None:
    """The simulator's own types must be declared, and begun by the right side."""
    for kind, name in zip(Kind, vocabulary_names(Kind), strict=True):
        declared = vocabulary.types.get(name)
        initiator = Initiator.COMPANY if kind >= Kind.IMPRESSION else Initiator.CUSTOMER
        if declared is None or declared.initiator != initiator:
            raise SimulationError(f"the vocabulary must declare type {name!r} of the {initiator}")


def make_world(scenario: Scenario, home: Home) -> World:
    """The shop on the eve of the first day."""
    random = np.random.Generator(np.random.PCG64(scenario.seed))
    catalog = make_catalog(scenario.items, random)
    customers = make_customers(scenario.customers, scenario.days, random)
    ledger = Ledger(
        home.history,
        part=scenario.name,
        customers=customer_ids(scenario.customers),
        items=catalog.item_ids,
    )
    return World(catalog, customers, ledger, random)


def live(world: World, day: int, midnight: int, choose: Choose = by_lot) -> None:
    """One day: news of orders, messages to whom `choose` says, visits, and a night's sleep."""
    undergo(world, midnight)
    called = send_messages(world, choose(world, day, midnight))
    weekday = (midnight // DAY + 3) % 7  # 1970 began on a Thursday
    willing = world.customers.visiting(day, weekday, world.random)
    own = arrivals(world, np.setdiff1d(willing, called.who), midnight)
    visits = together([called, show_slates(world, own)])
    follow_up(world, all_bought(list(go_shopping(world, visits))))
    world.customers.pass_night(midnight + DAY, world.random)


def _check(scenario: Scenario, home: Home) -> None:
    if scenario.start < EARLIEST_START:
        raise SimulationError(
            f"{scenario.days} days before {scenario.until:%Y-%m-%d} begin before the year 2000"
        )
    others = {part.stem for part in home.history.glob(f"date=*/{SOURCE}-*.parquet")}
    if others - {scenario.name}:
        raise SimulationError(
            f"{home.path} holds another simulation, whose customers have the same names: "
            "choose another --home"
        )


def midnight_of(date: datetime) -> datetime:
    """The midnight (UTC) at which a day begins."""
    return datetime.combine(date.date(), time(), UTC)
