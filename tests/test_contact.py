"""When customers may be turned to: the budget, limits, quiet hours, and open cases."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.attention import showings, spending, spendings
from features.policy.restraint import Contact, Quiet
from features.record import RECORD, merge, pack, tick, unpack
from features.vocabulary import load_vocabulary
from serving.policy.budget import TICKS_PER_DAY, TICKS_PER_HOUR
from serving.policy.contact import Situation, attention_left, is_quiet, withheld
from serving.policy.contact_terms import ContactTerms, contact_terms, unknown_types
from tests.interactions import START, interaction

VOCABULARY = load_vocabulary()
NOON = tick(START) + 12 * TICKS_PER_HOUR  # of the first day
HOUR, DAY = 3600, 86400  # in the numbers of interactions, which are seconds


def terms(**sections: Any) -> ContactTerms:
    return contact_terms(Contact.model_validate(sections), VOCABULARY)


def history(*rows: tuple[float, str], **changes: object) -> bytes:
    packed = (
        pack(interaction(int(seconds), type=type_, **changes), VOCABULARY)
        for seconds, type_ in rows
    )
    return merge(b"", b"".join(packed), max_records=100)


def ledger(*days: float, shown: bool = True, cost: float = 1.0, channel: str = "email") -> bytes:
    """One contact each, so many days after noon."""
    held = b""
    for number, each in enumerate(days):
        code, when = VOCABULARY.channel_code(channel), NOON + int(each * TICKS_PER_DAY)
        held += spending(held, f"d{number}", cost=cost, channel=code, now_tick=when)
        held += showings(held, [f"d{number}"]) if shown else b""
    return held


def left(rules: ContactTerms, spent: bytes, known: bytes = b"", *, day: float) -> float:
    records, now = unpack(np.frombuffer(known, RECORD)), NOON + int(day * TICKS_PER_DAY)
    return attention_left(rules, records, spendings(spent), now)


def reason(rules: ContactTerms, *, day: float = 0.0, **changes: Any) -> str:
    fields: dict[str, Any] = {
        "customer_key": "ada",
        "channel": "email",
        "unasked": True,
        "zone": None,
        "history": b"",
        "ledger": b"",
        "whole": True,
    }
    return withheld(rules, Situation(**(fields | changes)), NOON + int(day * TICKS_PER_DAY))


def budget(**changes: Any) -> ContactTerms:
    plain = {"capacity": 2.0, "per_day": 0.5, "engaged": 0.0, "ignored": 0.0, "dismissed": 0.0}
    return terms(budget=plain | changes)


def test_attention_is_spent_and_comes_back_with_time() -> None:
    rules = budget()
    assert left(rules, b"", day=0) == 2.0
    assert left(rules, ledger(0), day=0) == 1.0
    assert left(rules, ledger(0, 1), day=1) == 0.5
    assert left(rules, ledger(0, 1), day=3) == 1.5
    assert left(rules, ledger(0, 1), day=9) == 2.0


def test_what_was_not_shown_in_time_was_not_spent() -> None:
    rules, waiting = budget(unseen_hours=24, per_day=0.0), ledger(0, shown=False)
    assert left(rules, waiting, day=0.99) == 1.0
    assert left(rules, waiting, day=1.0) == 2.0
    assert left(rules, ledger(0), day=1.0) == 1.0


def test_who_comes_gets_attention_back_once_a_day() -> None:
    rules, spent = budget(per_day=0.0, engaged=0.25), ledger(0, 0.01)
    visits = history((DAY, "view"), (DAY + 60, "purchase"), (2 * DAY, "view"))
    complaints = history((DAY, "complaint"), (2 * DAY, "opt-out"))
    assert left(rules, spent, visits, day=1.6) == 0.5
    assert left(rules, spent, complaints, day=1.6) == 0.0


def test_what_is_ignored_or_dismissed_costs_more() -> None:
    rules = budget(per_day=0.0, ignored=0.5, ignored_days=2.0, dismissed=1.5)
    assert left(rules, ledger(0), day=1.9) == 1.0
    assert left(rules, ledger(0), day=2.1) == 0.5
    before, answered = (0, "view"), (DAY, "view")
    assert left(rules, ledger(0), history(before), day=2.1) == 0.5
    assert left(rules, ledger(0), history(before, answered), day=2.1) == 1.0
    assert left(rules, ledger(0), history(answered), day=2.1) == 1.0  # before, nobody knows
    assert left(rules, ledger(0), history((DAY, "dismissal")), day=1) == -0.5


def test_an_empty_budget_is_a_reason() -> None:
    rules = budget()
    assert reason(rules) == ""
    assert reason(rules, ledger=ledger(0, 0.01), day=0.02) == "budget"
    assert reason(rules, ledger=ledger(0, 0.01), day=2.1) == ""
    asking = {"unasked": False, "ledger": ledger(0, 0.01), "day": 0.02}
    assert reason(rules, **asking) == ""
    assert reason(budget(asked=0.5), **asking) == "budget"


def test_of_what_cannot_be_read_nothing_is_spent_unasked() -> None:
    assert reason(budget(), whole=False) == "unknown"
    assert reason(budget(asked=1.0), whole=False, unasked=False) == ""


@given(
    costs=st.lists(st.floats(0, 3, width=16), max_size=6),
    more=st.floats(0, 3, width=16),
    day=st.floats(0, 9),
)
def test_who_was_turned_to_more_never_has_more_left(
    costs: list[float], more: float, day: float
) -> None:
    rules, spent = budget(ignored=0.5), b""
    for number, cost in enumerate([*costs, more]):
        before, when = spent, NOON + number * TICKS_PER_DAY // 2
        spent += spending(spent, f"d{number}", cost=cost, channel=6, now_tick=when)
        spent += showings(spent, [f"d{number}"])
    later = len(costs) / 2 + day
    rounding = 1e-9
    assert left(rules, spent, day=later) <= left(rules, before, day=later) + rounding


@pytest.mark.parametrize(
    ("hour", "quiet"), [(20, False), (21, True), (23, True), (0, True), (7, True), (8, False)]
)
def test_nights_are_quiet(hour: int, quiet: bool) -> None:
    night, now = Quiet(begin=21, end=8), datetime(2026, 7, 1, hour, 59, tzinfo=UTC)
    assert is_quiet(night, None, now) is quiet
    assert is_quiet(Quiet(begin=8, end=21), None, now) is not quiet


@pytest.mark.parametrize(
    ("zone", "moment", "quiet"),
    [
        ("Europe/Berlin", "2026-03-28T06:59", True),  # 7:59
        ("Europe/Berlin", "2026-03-28T07:00", False),  # 8:00
        ("Europe/Berlin", "2026-03-29T06:00", False),  # the clock has been put forward: 8:00
        ("Europe/Berlin", "2026-10-24T06:00", False),  # 8:00
        ("Europe/Berlin", "2026-10-25T06:00", True),  # and back: 7:00
        ("Europe/Berlin", "2026-10-24T19:00", True),  # 21:00
        ("Europe/Berlin", "2026-10-25T19:59", False),  # 20:59
        ("Asia/Kathmandu", "2026-07-01T02:14", True),  # 7:59
        ("Asia/Kathmandu", "2026-07-01T02:15", False),
        ("Australia/Lord_Howe", "2026-10-02T21:29", True),  # 7:59, ahead by 10:30
        ("Australia/Lord_Howe", "2026-10-04T21:00", False),  # by 11:00
        ("Pacific/Kiritimati", "2026-07-01T07:00", True),  # 21:00, ahead by 14:00
        ("Pacific/Pago_Pago", "2026-07-01T07:59", False),  # 20:59 of the day before
    ],
)
def test_nights_follow_the_clocks_of_the_customer(zone: str, moment: str, quiet: bool) -> None:
    now = datetime.fromisoformat(f"{moment}+00:00")
    assert is_quiet(Quiet(begin=21, end=8), ZoneInfo(zone), now) is quiet
    assert is_quiet(Quiet(begin=21, end=8, zone=zone), None, now) is quiet


def test_an_hour_that_comes_twice_is_quiet_twice_and_one_that_does_not_come_never() -> None:
    rules, berlin = Quiet(begin=2, end=3), ZoneInfo("Europe/Berlin")

    def hours(day: str) -> list[int]:
        moments = (datetime.fromisoformat(f"{day}T{hour:02}:30+00:00") for hour in range(6))
        return [each.hour for each in moments if is_quiet(rules, berlin, each)]

    assert hours("2026-03-28") == [1]
    assert hours("2026-03-29") == []
    assert hours("2026-10-25") == [0, 1]


def test_quiet_hours_that_end_as_they_begin_are_none() -> None:
    every = (datetime(2026, 7, 1, hour, tzinfo=UTC) for hour in range(24))
    assert not any(is_quiet(Quiet(begin=8, end=8), None, each) for each in every)


def test_hours_are_those_of_the_customer() -> None:
    rules = terms(quiet={"begin": 21, "end": 8, "zone": "Europe/Berlin"})
    assert reason(rules) == ""
    assert reason(rules, zone=ZoneInfo("Pacific/Auckland")) == "quiet-hours"
    assert reason(rules, day=9 / 24) == "quiet-hours"  # nine at night, where the policy is
    assert reason(rules, day=9 / 24, zone=ZoneInfo("America/New_York")) == ""


def test_nothing_is_sold_into_an_open_case() -> None:
    rules, opened = terms(after={}), (HOUR, "complaint")
    assert reason(rules, history=history(opened)) == "open-case"
    assert reason(rules, history=history(opened, (2 * HOUR, "view"))) == "open-case"
    assert reason(rules, history=history(opened), day=15) == ""
    closed = (2 * HOUR, "service-reply")
    assert reason(rules, history=history(opened, closed)) == ""
    again = (3 * HOUR, "service-request")
    assert reason(rules, history=history(opened, closed, again)) == "open-case"


def test_some_things_are_followed_by_silence() -> None:
    rules = terms(after={"dismissal": 2.0, "purchase": 0.5})
    assert reason(rules, history=history((HOUR, "dismissal"))) == "after-dismissal"
    assert reason(rules, history=history((HOUR, "dismissal")), day=1.6) == ""
    assert reason(rules, history=history((HOUR, "purchase"))) == "after-purchase"
    assert reason(rules, history=history((HOUR, "return"))) == ""


def test_contacts_are_limited_by_channel_type_and_window() -> None:
    mails = history((0, "message"), (1, "message"), (HOUR, "message"), channel="email",
                    initiator="COMPANY")  # fmt: skip
    two, three = (terms(limits=[{"most": n, "days": 1.0, "channel": "email"}]) for n in (2, 3))
    assert reason(two, history=mails) == "limit"  # what is of one minute is one
    assert reason(three, history=mails) == ""
    assert reason(two, history=mails, channel="sms") == ""
    assert reason(two, history=mails, day=0.53) == ""
    assert reason(terms(limits=[{"most": 2, "days": 1.0}]), history=mails, channel="sms") == "limit"
    replies = terms(limits=[{"most": 2, "days": 1.0, "type": "service-reply"}])
    assert reason(replies, history=mails) == ""


def test_what_is_under_way_counts_towards_limits() -> None:
    mail = history((HOUR, "message"), channel="email", initiator="COMPANY")
    two = terms(limits=[{"most": 2, "days": 1.0, "channel": "email"}])
    assert reason(two, history=mail, ledger=ledger(-0.1)) == ""  # it is the one in the history
    assert reason(two, history=mail, ledger=ledger(-0.1, shown=False)) == "limit"
    assert reason(two, history=mail, ledger=ledger(-0.1, shown=False, channel="sms")) == ""
    assert reason(two, ledger=ledger(-0.2, -0.1)) == "limit"  # the history has forgotten them


def test_types_that_there_are_not_are_named_but_for_those_built_in() -> None:
    rules = Contact.model_validate(
        {"after": {"sale": 1.0}, "limits": [{"most": 1, "days": 1.0, "type": "ad"}]}
    )
    assert unknown_types(rules, VOCABULARY) == ["ad", "sale"]
    assert unknown_types(Contact(), VOCABULARY) == []
