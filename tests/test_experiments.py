"""What becomes of the customers of an experiment: values, contacts, and who counts where."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from features.decisions import parts
from features.decisions.decision import LoggedDecision, table_of
from features.history.partitions import append, as_table
from features.interaction import Interaction
from features.settings import Home
from features.vocabulary import load_vocabulary
from tests.decided import NOON, decided
from tests.interactions import interaction
from training.experiments.confidence import Moments
from training.experiments.queries import CHANNEL, CONTACTS, TYPE
from training.experiments.reading import Answers, Observed, observe
from training.settings import TrainingError

DAY = timedelta(days=1)


def at(number: int, customer: str, arm: str, **changes: object) -> LoggedDecision:
    """A decision so many minutes after noon."""
    fields = {"customer_key": customer, "experiment": "spring", "arm": arm} | changes
    return decided(number, **fields)


def did(minute: float, customer: str, type_: str, **changes: object) -> Interaction:
    when = NOON + timedelta(minutes=minute)
    return interaction(
        customer_id=customer, type=type_, event_time=when, interaction_id=f"{minute}", **changes
    )


def seen(
    home: Path,
    decisions: Sequence[LoggedDecision],
    interactions: Sequence[Interaction] = (),
    window: timedelta = DAY,
) -> Observed:
    """One more decision in no experiment lies three days later."""
    later = decided(3 * 24 * 60, customer_key="later")
    parts.append(Home(home).decisions, table_of([*decisions, later]))
    if interactions:
        append(Home(home).history, as_table(interactions), kind="test")
    return observe(Home(home), load_vocabulary(), window=window)


def test_what_both_sides_do_within_the_window_counts_by_arm(tmp_path: Path) -> None:
    given = seen(
        tmp_path,
        [at(0, "ada", "full"), at(1, "bob", "full"), at(2, "eve", "no-contact")],
        [
            did(-1, "ada", "purchase"),  # before anything was decided
            did(10, "ada", "purchase", channel="store"),  # 1.0 and 1.0
            did(11, "ada", "view", channel="web"),  # 0.1 and 0
            did(12, "eve", "delay", channel="app"),  # -0.5 and -0.2
            did(24 * 60 + 5, "bob", "purchase"),  # too late
            did(13, "nobody", "purchase"),
        ],
    )
    assert (given.name, given.moved, given.waiting) == ("spring", 0, 0)
    assert {arm: given.customers(arm) for arm in given.count_by_arm} == {"full": 2, "no-contact": 1}
    assert given.moments("full", "customer") == Moments(2, pytest.approx(1.1), pytest.approx(1.21))
    assert given.moments("full", "both") == Moments(2, pytest.approx(2.1), pytest.approx(4.41))
    assert given.moments("no-contact", "company").mean == pytest.approx(-0.2)
    assert given.names(CHANNEL) == ["app", "store", "web"]
    assert given.moments("full", "both", kind=CHANNEL, name="store") == Moments(2, 2.0, 4.0)
    assert given.moments("no-contact", "both", kind=CHANNEL, name="store") == Moments(1, 0, 0)
    assert given.names(TYPE) == ["delay", "purchase", "view"]


def test_contacts_are_offers_that_nobody_asked_for(tmp_path: Path) -> None:
    unasked = {"initiator": "COMPANY", "channel": "email"}
    given = seen(
        tmp_path,
        [
            at(0, "ada", "full", **unasked),
            at(1, "ada", "full", **unasked),
            at(2, "ada", "full", **unasked, reason="low-value"),
            at(3, "ada", "full"),
            at(4, "bob", "full"),
            at(5, "eve", "no-contact", **unasked, reason="holdout"),
        ],
    )
    assert given.moments("full", "customer", kind=CONTACTS).mean == 1.0
    assert given.moments("no-contact", "customer", kind=CONTACTS).mean == 0.0
    assert given.answers == [
        Answers("full", "email", True, 3, 2),
        Answers("full", "web", False, 2, 2),
        Answers("no-contact", "email", True, 1, 0),
    ]


def test_who_changes_arms_counts_in_the_first_one(tmp_path: Path) -> None:
    joined = did(5, "ada", "identify", anonymous_id="tablet")
    given = seen(
        tmp_path,
        [at(0, "anonymous:tablet", "no-contact"), at(9, "ada", "full"), at(10, "bob", "full")],
        [joined, did(6, "ada", "purchase")],
    )
    assert given.moved == 1
    assert given.moments("no-contact", "customer") == Moments(1, 1.0, 1.0)
    assert given.moments("full", "customer") == Moments(1, 0.0, 0.0)


def test_customers_whose_window_is_open_are_waited_for(tmp_path: Path) -> None:
    decisions = [at(0, "ada", "full"), at(60, "bob", "full")]
    given = seen(tmp_path, decisions, window=3 * DAY - timedelta(minutes=30))
    assert (given.customers("full"), given.waiting) == (1, 1)


def test_nothing_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no decisions in .*features drain"):
        observe(Home(tmp_path), load_vocabulary(), window=DAY)
    with pytest.raises(TrainingError, match="no decision was made in an experiment"):
        seen(tmp_path, [decided(0)])
    with pytest.raises(TrainingError, match=r"nobody has been in spring .* 2 customers for less"):
        seen(tmp_path, [at(0, "ada", "full"), at(1, "bob", "full")], window=9 * DAY)
    with pytest.raises(TrainingError, match="no decision was made in autumn, but in spring"):
        observe(Home(tmp_path), load_vocabulary(), window=DAY, experiment="autumn")
