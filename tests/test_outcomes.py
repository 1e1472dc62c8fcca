"""Outcomes: what came of decisions, on small histories, by hand."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from features.decisions.decision import LoggedDecision, table_of
from features.decisions.outcomes import Attribution, outcomes, vocabulary_worths
from features.decisions.parts import append
from features.history.partitions import write_part
from features.interaction import Interaction
from features.settings import Home
from features.vocabulary import load_vocabulary
from tests.decided import NOON, candidates, decided
from tests.interactions import interaction
from tests.interactions import table_of as history_of

WORTHS = {"view": (0.1, 0.0), "purchase": (1.0, 2.0), "opt-out": (-0.5, -2.0)}
LATER = NOON + timedelta(days=30)
BOTH = decided(candidates=candidates(offered=2))  # apple, then bread

Row = tuple[int | None, str | None, bool, str, float, float]


def done(number: int, minutes: float, **changes: object) -> Interaction:
    """What ada did, or what was shown to her, so many minutes after noon."""
    return interaction(number, event_time=NOON + timedelta(minutes=minutes), **changes)


def shown(number: int, decision: LoggedDecision, item_id: str | None) -> Interaction:
    fields = {"type": "impression", "initiator": "COMPANY", "item_id": item_id}
    return done(number, 1, decision_id=decision.decision_id, **fields)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def told(
    home: Home, decisions: list[LoggedDecision], *rows: Interaction, now: datetime = LATER
) -> list[Row]:
    append(home.decisions, table_of(decisions))
    if rows:
        write_part(home.history, history_of(rows), part="a")
    attribution = Attribution(since=NOON - timedelta(days=1), now=now)
    found = outcomes(home, WORTHS, attribution).to_pylist()
    names = ("position", "item_id", "shown", "outcome", "customer_value", "company_value")
    return [tuple(each[name] for name in names) for each in found]  # type: ignore[misc]


def test_without_any_sign_nothing_was_shown_and_nothing_came(home: Home) -> None:
    nothing = [(0, "apple", False, "none", 0, 0), (1, "bread", False, "none", 0, 0)]
    assert told(home, [BOTH]) == nothing


def test_only_what_is_reported_counts_as_shown(home: Home) -> None:
    rows = told(home, [BOTH], shown(0, BOTH, "bread"))
    assert [each[2] for each in rows] == [False, True]


def test_a_slate_is_shown_whole_where_no_item_is_named(home: Home) -> None:
    rows = told(home, [BOTH], shown(0, BOTH, None))
    assert [each[2] for each in rows] == [True, True]


def test_what_names_the_decision_is_its_outcome(home: Home) -> None:
    bought = {"type": "purchase", "decision_id": BOTH.decision_id}
    rows = told(
        home,
        [BOTH],
        done(0, 5, item_id="bread", type="view", decision_id=BOTH.decision_id),
        done(1, 6, item_id="bread", **bought),
        done(2, 7, item_id="bread", **bought),  # a type counts once
        done(3, 8, item_id="flour", **bought),  # nobody offered it
        done(4, 60 * 24 * 4, item_id="apple", **bought),  # too late
    )
    assert rows == [(0, "apple", False, "none", 0, 0), (1, "bread", True, "purchase", 1.1, 2.0)]


def test_what_is_about_no_item_counts_for_the_first_place(home: Home) -> None:
    left = done(0, 5, item_id=None, type="opt-out", decision_id=BOTH.decision_id)
    assert told(home, [BOTH], left) == [
        (0, "apple", True, "opt-out", -0.5, -2.0),
        (1, "bread", False, "none", 0, 0),
    ]


def test_what_names_no_decision_counts_for_the_latest_that_showed_the_item(home: Home) -> None:
    first, second = decided(0), decided(10)
    rows = told(
        home,
        [first, second],
        shown(0, first, "apple"),
        shown(1, second, "apple"),
        done(2, 5, item_id="apple"),  # between the two
        done(3, 15, item_id="apple", type="purchase"),
        done(4, 16, item_id="bread", type="purchase"),  # never shown
        done(5, 17, item_id="apple", type="purchase", customer_id="bob"),
    )
    assert rows == [(0, "apple", True, "view", 0.1, 0.0), (0, "apple", True, "purchase", 1.0, 2.0)]


def test_a_device_that_was_joined_counts_as_its_customer(home: Home) -> None:
    device = {"customer_id": None, "anonymous_id": "phone"}
    rows = told(
        home,
        [decision := decided(customer_key="anonymous:phone")],
        shown(0, decision, "apple"),
        done(1, 5, customer_id="ada", anonymous_id="phone", type="identify", item_id=None),
        done(2, 6, item_id="apple", type="purchase"),
        done(3, 7, item_id="apple", **device),
    )
    assert rows == [(0, "apple", True, "purchase", 1.1, 2.0)]


def test_silence_has_an_outcome_and_open_windows_have_none_yet(home: Home) -> None:
    silent = decided(0, reason="low-value", candidates=candidates(offered=0))
    unnamed = decided(0, customer_key=None)
    young = decided(60)
    assert told(home, [silent, unnamed, young], now=NOON + timedelta(days=3, minutes=30)) == [
        (None, None, False, "none", 0, 0)
    ]


def test_the_vocabulary_says_what_types_are_worth() -> None:
    assert vocabulary_worths(load_vocabulary())["purchase"] == (1.0, 1.0)
