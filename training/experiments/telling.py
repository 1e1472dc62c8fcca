"""What is told of an experiment on the terminal: arms, and lifts against the bases."""

import math
from collections.abc import Iterator, Sequence
from datetime import timedelta

from rich.console import Console
from rich.table import Table

from training.experiments.comparing import (
    ArmRow,
    Lift,
    arm_rows,
    compared,
    contact_channels,
    contact_rate,
    lift,
    slices,
)
from training.experiments.confidence import FEWEST
from training.experiments.queries import CHANNEL, TYPE
from training.experiments.reading import SIDES, Observed
from training.judging.intervals import Interval


def show(console: Console, observed: Observed) -> None:
    """Tables of all of it."""
    console.print("\n".join(introduction(observed)), soft_wrap=True)
    arms, channels = arm_rows(observed), contact_channels(observed)
    values = [(each.arm, _values(each)) for each in arms]
    _print(console, "Value a customer", ("customers", *SIDES), values)
    contacts = [(each.arm, _contacts(observed, each, channels)) for each in arms]
    heads = "a customer", "in all", *channels
    _print(console, "Contacts, and how many of those that might have been", heads, contacts)
    for base, others in compared(observed):
        _compare(console, observed, base, others)


def _compare(console: Console, observed: Observed, base: str, arms: Sequence[str]) -> None:
    lifts = [(arm, [_lift(lift(observed, arm, base, side)) for side in SIDES]) for arm in arms]
    _print(console, f"Above {base}", SIDES, lifts)
    for kind in (CHANNEL, TYPE):
        found = slices(observed, base, arms, kind)
        rows = [(row[0].name, [_lift(each) for each in row]) for row in found]
        _print(console, f"Above {base}, both sides, by {kind}", arms, rows)


def introduction(observed: Observed) -> Iterator[str]:
    """What is looked at, and who is not."""
    count = sum(observed.customers(arm) for arm in observed.count_by_arm)
    days = observed.window / timedelta(days=1)
    yield (
        f"Experiment {observed.name}: {count:,} customers, each for {days:g} days from the first "
        f"decision on, as of {observed.newest_time:%Y-%m-%d %H:%M}"
    )
    if observed.waiting:
        yield f"{observed.waiting:,} more are waited for, until their days are over"
    if observed.moved:
        yield f"{observed.moved:,} changed arms, and count in the first"
    yield (
        "Values are those of the vocabulary, a customer; bounds hold with 95 % confidence each,"
        f" at every look, from {FEWEST} customers of an arm on, where these differ"
    )


def sure(each: Interval) -> str:
    """A mean, and how far its bounds are away, where there are any."""
    if math.isnan(each.mean):
        return "-"
    if not math.isfinite(each.low):
        return f"{each.mean:.3f}"
    return f"{each.mean:.3f} ± {each.high - each.mean:.3f}"


def _lift(each: Lift) -> str:
    text = sure(each.interval)
    return f"[bold]{text}[/bold]" if each.sure else text


def _values(row: ArmRow) -> list[str]:
    return [f"{row.customers:,}", *(sure(row.value_by_side[side]) for side in SIDES)]


def _contacts(observed: Observed, row: ArmRow, channels: Sequence[str]) -> list[str]:
    rates = [contact_rate(observed, row.arm, each) for each in ("", *channels)]
    return [sure(row.contacts), *("-" if each is None else f"{each:.1%}" for each in rates)]


def _print(
    console: Console, title: str, columns: Sequence[str], rows: Sequence[tuple[str, list[str]]]
) -> None:
    if not rows:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column("", no_wrap=True)
    for name in columns:
        head = name.replace("-", "-\n", 1)
        table.add_column(head, justify="right", no_wrap=True, vertical="bottom")
    for name, cells in rows:
        table.add_row(name, *cells)
    console.print(f"\n{title}")
    console.print(table)
