"""Simulated worlds that go on from one state, each under a way of contacting, with their accounts.

N customers
"""

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.record import merge, pack_table
from features.settings import Home
from features.simulation.contacts import Choose, Contacts, by_lot, moments
from features.simulation.customers import customer_ids
from features.simulation.simulate import Scenario, live, make_world
from features.simulation.world import DAY, World
from features.vocabulary import Vocabulary

CONTACT, OPT_OUT = "message", "opt-out"
DAYS = 7  # of a week
AT_LAST = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Account:
    """What came of some days, customer by customer; attention is not taken off yet."""

    customer_N: np.ndarray
    company_N: np.ndarray
    contacts_N: np.ndarray
    opt_outs_N: np.ndarray

    def to_customers(self, attention: float) -> np.ndarray:
        """The customer's side, less what so many contacts cost of attention (N)."""
        value_N: np.ndarray = self.customer_N - attention * self.contacts_N
        return value_N

    def to_both(self, attention: float) -> np.ndarray:
        """The value to both sides, likewise (N)."""
        value_N: np.ndarray = self.to_customers(attention) + self.company_N
        return value_N


def account(happened: pa.Table, vocabulary: Vocabulary, customers: int) -> Account:
    """By what the vocabulary says that one interaction of each type is worth."""
    who, names = _who(happened, customers), happened["type"].to_pylist()
    types = [vocabulary.types[each] for each in names]

    def total(values: Iterable[float]) -> np.ndarray:
        sums: np.ndarray = np.bincount(who, np.fromiter(values, float, len(who)), customers)
        return sums

    return Account(
        customer_N=total(each.customer_value for each in types),
        company_N=total(each.company_value for each in types),
        contacts_N=total(each == CONTACT for each in names),
        opt_outs_N=total(each == OPT_OUT for each in names),
    )


def summed(accounts: Sequence[Account]) -> Account:
    """Those of one time after another as one."""
    every = (
        (each.customer_N, each.company_N, each.contacts_N, each.opt_outs_N) for each in accounts
    )
    return Account(*(np.sum(parts, axis=0) for parts in zip(*every, strict=True)))


@dataclass(slots=True)
class Course:
    """A world on its way, and what is remembered of its customers."""

    world: World
    vocabulary: Vocabulary
    midnight: int  # of the next day
    max_records: int
    day: int = 0
    history_N: list[bytes] = field(default_factory=list)  # packed, oldest first

    def pass_day(self, choose: Choose) -> pa.Table:
        """Lives one day, remembers and gives what happened."""
        live(self.world, self.day, self.midnight, choose)
        self.day, self.midnight = self.day + 1, self.midnight + DAY
        happened = self.world.ledger.take(before=self.midnight)
        self._remember(happened)
        return happened

    def _remember(self, happened: pa.Table) -> None:
        records, held = pack_table(happened, self.vocabulary), self.history_N
        who = _who(happened, len(held))
        order = np.argsort(who, kind="stable")
        names, starts = np.unique(who[order], return_index=True)
        for each, some in zip(names.tolist(), np.split(order, starts[1:]), strict=True):
            arriving = records[some].tobytes()
            held[each] = merge(held[each], arriving, max_records=self.max_records)


def lived(scenario: Scenario, home: Home, vocabulary: Vocabulary, max_records: int) -> Course:
    """A scenario at its end; the same as simulate() writes, but remembered."""
    midnight = int(scenario.start.timestamp()) * 1_000_000
    world, nobody = make_world(scenario, home), [b""] * scenario.customers
    course = Course(world, vocabulary, midnight, max_records, history_N=nobody)
    for _ in range(scenario.days):
        course.pass_day(by_lot)
    return course


def go_on(course: Course, weeks: int, way: Callable[[Course], Choose]) -> list[Account]:
    """Of a copy of the world, week by week; the last one's holds all that is still to come."""
    course = deepcopy(course)
    choose, customers = way(course), len(course.history_N)
    every = [[course.pass_day(choose) for _ in range(DAYS)] for _ in range(weeks)]
    every[-1].append(course.world.ledger.take(before=AT_LAST))
    return [account(pa.concat_tables(week), course.vocabulary, customers) for week in every]


def contact_nobody(course: Course) -> Choose:
    """Silence, whatever happens."""
    nobody = np.zeros(0, np.int64)
    return lambda world, day, midnight: Contacts(moments(world, nobody, midnight), nobody)


def _who(happened: pa.Table, customers: int) -> np.ndarray:
    names = customer_ids(customers)
    who: np.ndarray = pc.index_in(happened["customer_id"], names).to_numpy()
    return who
