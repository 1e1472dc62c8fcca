"""The closed loop: a simulated world goes on under three ways of contacting its customers.

The world is simulated for 60 days, in which customers are contacted at random, and the product's
model is trained on what happened. Then the same world goes on for four weeks three times: nobody is
contacted; everyone who may be is contacted each morning with the item that the model holds most
probable; or as the policy of benchmarks/closed_loop.yaml decides, by the functions that serve:
contact rules and the ledger of attention, expected values, arbitration against silence.

An account holds all that customers and company then do, contacted or not, and what is still to come
of it (deliveries, returns, complaints), each interaction at the vocabulary's value. Off it goes
what contacts cost of the customers' attention, ATTENTION each. That is declared, not found: a
message that nobody asked for costs what looking at an item is worth, half of what a dismissal says.
What is found with other costs is told beside. It is not the policy's own cost, which stands against
what the model foresees: the next interaction alone.

The policy was tuned on the world of seed 8; what is reported is of another seed. Intervals of 95 %
are drawn by bootstrap over customers; they do not hold what another training would change.

N customers
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.composed import run_program
from benchmarks.contacting import Adviser
from benchmarks.parallel_worlds import Account, Course, contact_nobody, go_on, lived, summed
from benchmarks.report import Figure
from features.settings import FeatureSettings, Home
from features.simulation.contacts import Choose
from features.simulation.simulate import Scenario
from features.vocabulary import load_vocabulary
from serving.model.scorer import Scorer
from serving.policy.terms import PolicyFile
from training.judging.intervals import difference
from training.publishing import Publisher

POLICY = Path(__file__).with_name("closed_loop.yaml")
SCENARIO = Scenario(
    customers=2000, days=60, items=1000, seed=9, until=datetime(2026, 11, 22, tzinfo=UTC)
)
WEEKS = 4
ATTENTION = 0.1  # of one contact, in the vocabulary's scale
OTHERS = (0.0, 0.05, 0.15)
LIFT, SHARE = 20.0, 60.0  # goals, in per cent
NOBODY, GREEDY, TWO_SIDED = "no contact", "greedy", "two-sided"

Accounts = Mapping[str, Sequence[Account]]
"""Of each way, week by week."""


def train(home: Home, scenario: Scenario = SCENARIO) -> None:
    """Simulates a history and learns from it, by the product's own programs."""
    shutil.rmtree(home.path, ignore_errors=True)
    numbers = {name: getattr(scenario, name) for name in ("customers", "days", "items", "seed")}
    arguments = [f"--{name}={number}" for name, number in numbers.items()]
    until = f"--until={scenario.until:%Y-%m-%d}"
    run_program("features", "simulate", *arguments, until, "--home", home.path)
    run_program("training", "train", "--home", home.path)


def figures(home: Home, scenario: Scenario = SCENARIO, *, weeks: int = WEEKS) -> list[Figure]:
    """Goes on where train() has ended; prints a table of the accounts."""
    champion, vocabulary = Publisher(home).champion(), load_vocabulary()
    terms = PolicyFile(POLICY, vocabulary).changed()
    assert champion is not None and terms is not None  # train() has published, and it is read
    adviser = Adviser(Scorer(champion.directory, vocabulary, threads=0), terms)
    records = FeatureSettings(home=home.path).max_records
    course = lived(scenario, home, vocabulary, records)
    accounts = accounts_of(course, adviser, weeks)
    whole = {name: summed(each) for name, each in accounts.items()}
    Console(width=110).print(_table(whole))
    return [*_both(whole), *_customers(accounts, whole)]


def accounts_of(course: Course, adviser: Adviser, weeks: int) -> Accounts:
    """Of all ways, from the same state on."""
    ways: dict[str, Callable[[Course], Choose]] = {
        NOBODY: contact_nobody,
        GREEDY: adviser.greedy,
        TWO_SIDED: adviser.two_sided,
    }
    return {name: go_on(course, weeks, way) for name, way in ways.items()}


# ---- What is told ------------------------------------------------------------------------------


def _table(whole: Mapping[str, Account]) -> Table:
    title = f"Four weeks, attention at {ATTENTION:g} a contact"
    table = Table(title=title, title_justify="left", title_style="bold")
    for name in ("way", "both sides", "customers", "company", "attention", "contacts", "opt-outs"):
        table.add_column(name, justify="left" if name == "way" else "right")
    for name, each in whole.items():
        attention = ATTENTION * each.contacts_N.sum()
        sides = each.to_both(ATTENTION), each.to_customers(ATTENTION), each.company_N
        values = (*(side.sum() for side in sides), attention)
        counts = each.contacts_N.sum(), each.opt_outs_N.sum()
        table.add_row(name, *(f"{value:,.0f}" for value in (*values, *counts)))
    return table


def _both(whole: Mapping[str, Account]) -> Iterator[Figure]:
    ours, greedy = whole[TWO_SIDED], whole[GREEDY]
    name = f"{TWO_SIDED} beside {GREEDY}"
    share = 100 * float(ours.contacts_N.sum() / greedy.contacts_N.sum())
    yield Figure(f"{name}: value to both", lift(ours, greedy), "%", goal=LIFT, better="higher")
    yield Figure(f"{name}: contacts", share, "%", goal=SHARE)
    yield from _apart(f"{name}: value to both, a customer", ours, greedy)
    for attention in OTHERS:
        what = f"value to both, were a contact to cost {attention:g}"
        yield Figure(f"{name}: {what}", lift(ours, greedy, attention), "%")
    yield Figure(f"{name}: cost of a contact from which the goal is met", least_cost(ours, greedy))
    silent = whole[NOBODY]
    yield Figure(f"{NOBODY} beside {GREEDY}: value to both", lift(silent, greedy), "%")
    name = f"{TWO_SIDED} beside {NOBODY}"
    yield Figure(f"{name}: value to both", lift(ours, silent), "%")
    yield from _apart(f"{name}: value to both, a customer", ours, silent)


def lift(account: Account, other: Account, attention: float = ATTENTION) -> float:
    """By how much the value to both is above another's, in per cent."""
    value, less = (float(each.to_both(attention).sum()) for each in (account, other))
    return 100 * (value - less) / abs(less)


def least_cost(account: Account, other: Account) -> float:
    """What a contact must cost for the lift over another, with more contacts, to be the goal."""
    wanted = 1 + LIFT / 100
    lacking = wanted * other.to_both(0).sum() - account.to_both(0).sum()
    return float(lacking / (wanted * other.contacts_N.sum() - account.contacts_N.sum()))


def _apart(name: str, account: Account, other: Account) -> Iterator[Figure]:
    apart = _difference(account.to_both(ATTENTION), other.to_both(ATTENTION))
    for bound, value in zip(("at least", "mean", "at most"), apart, strict=True):
        yield Figure(f"{name}, difference, {bound}", value)


def _customers(accounts: Accounts, whole: Mapping[str, Account]) -> Iterator[Figure]:
    """Whether customers are worse off than if they were left alone, in all or in any week."""
    name = f"{TWO_SIDED} beside {NOBODY}: value to a customer"
    sides = (whole[each].to_customers(ATTENTION) for each in (TWO_SIDED, NOBODY))
    low, mean, high = _difference(*sides)
    yield Figure(f"{name}, difference, at least", low)
    yield Figure(f"{name}, difference, mean", mean)
    yield Figure(f"{name}, difference, at most", high, goal=0.0, better="higher")
    weeks = zip(accounts[TWO_SIDED], accounts[NOBODY], strict=True)
    every = [_difference(*(each.to_customers(ATTENTION) for each in week)) for week in weeks]
    worse = sum(high < 0 for _, _, high in every)
    yield Figure(f"{name}: weeks in which it is surely lower", worse, goal=0)


def _difference(value_N: np.ndarray, other_N: np.ndarray) -> tuple[float, float, float]:
    apart = difference(value_N, other_N, np.arange(len(value_N)))
    return apart.low, apart.mean, apart.high
