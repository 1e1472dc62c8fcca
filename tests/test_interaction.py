"""The schema at the door: what may enter, and that whole tables get the verdict of single rows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.interaction import SCHEMA, Interaction, check, customer_key
from features.table_check import violations
from features.vocabulary import load_vocabulary
from tests.interactions import table_of

VOCABULARY = load_vocabulary()
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LAWFUL = Interaction(
    source="shop",
    interaction_id="1",
    customer_id="c1",
    initiator="CUSTOMER",
    type="purchase",
    channel="web",
    item_id="shoe",
    event_time=NOW,
    quantity=1.0,
    amount=9.5,
    currency="EUR",
    attributes={"country": "DE"},
)


CHANGES: list[tuple[dict[str, object], list[str]]] = [
    ({"source": ""}, ["source"]),
    ({"interaction_id": ""}, ["interaction_id"]),
    ({"interaction_id": "x" * 128}, []),
    ({"interaction_id": "x" * 129}, ["interaction_id"]),
    ({"interaction_id": "ü" * 65}, ["interaction_id"]),  # 130 bytes
    ({"customer_id": None}, ["customer_id"]),
    ({"customer_id": None, "anonymous_id": "a1"}, []),
    ({"customer_id": "anonymous:a1"}, ["customer_id"]),
    ({"item_id": "a\nb"}, ["item_id"]),
    ({"initiator": "SHOP"}, ["initiator"]),
    ({"type": "buy"}, ["type"]),
    ({"channel": "Web"}, ["channel"]),
    ({"channel": "kiosk-2"}, []),
    ({"event_time": NOW + timedelta(minutes=5)}, []),
    ({"event_time": NOW + timedelta(minutes=5, microseconds=1)}, ["event_time"]),
    ({"event_time": datetime(1999, 12, 31, 23, 59, tzinfo=UTC)}, ["event_time"]),
    ({"quantity": -1.0}, ["quantity"]),
    ({"amount": float("nan")}, ["money.amount"]),
    ({"amount": -0.01}, ["money.amount"]),
    ({"amount": None}, ["money"]),
    ({"currency": "euro"}, ["money.currency_code"]),
    ({"type": "view"}, ["money"]),  # no transaction
    ({"position": 1001}, ["position"]),
    ({"attributes": {str(number): "" for number in range(17)}}, ["attributes"]),
    ({"attributes": {"k": "v" * 257}}, ["attributes['k']"]),
]


def broken_fields(**changes: object) -> list[str]:
    return [
        each.field for each in check(replace(LAWFUL, **changes), vocabulary=VOCABULARY, now=NOW)
    ]


def test_a_lawful_interaction_breaks_no_rule() -> None:
    assert check(LAWFUL, vocabulary=VOCABULARY, now=NOW) == []


@pytest.mark.parametrize(("changes", "fields"), CHANGES)
def test_each_rule_names_its_field(changes: dict[str, object], fields: list[str]) -> None:
    assert broken_fields(**changes) == fields


def test_a_time_without_a_zone_is_refused() -> None:
    assert broken_fields(event_time=datetime(2026, 11, 22)) == ["event_time"]


def test_a_table_is_judged_by_the_same_rules() -> None:
    table = table_of([replace(LAWFUL, **changes) for changes, _ in CHANGES])
    found = violations(table, vocabulary=VOCABULARY, now=NOW)
    named = [[each.field for each in found.get(place, [])] for place in range(len(table))]
    assert named == [fields for _, fields in CHANGES]


def test_a_violation_shows_the_value_and_what_would_be_right() -> None:
    (violation,) = check(replace(LAWFUL, amount=-2.0), vocabulary=VOCABULARY, now=NOW)
    assert str(violation) == "money.amount is -2.0: must be a number from 0 to 1e+12"


def test_a_customer_is_known_by_id_or_marked_anonymous() -> None:
    assert customer_key("c1", "a1") == "c1"
    assert customer_key(None, "a1") == "anonymous:a1"


ids = st.one_of(
    st.none(),
    st.sampled_from(["", "a", "anonymous:x", "ä", "a\n", "a\x7f", "x" * 128, "x" * 129, "ü" * 65]),
    st.text(max_size=5),
)
numbers = st.one_of(
    st.none(),
    st.sampled_from([0.0, -0.0, 1e9, 1e12, 1.1e12, -1.0, float("nan"), float("inf")]),
    st.floats(),
)
odd_values: dict[str, st.SearchStrategy] = {
    "source": st.one_of(st.just("shop"), ids),
    "interaction_id": st.one_of(st.just("1"), ids),
    "customer_id": ids,
    "anonymous_id": ids,
    "session_id": ids,
    "initiator": st.sampled_from(["CUSTOMER", "COMPANY", "customer", "", None]),
    "type": st.sampled_from(["view", "purchase", "return", "message", "View", "", None]),
    "channel": st.one_of(
        st.sampled_from(["web", "contact-center", "a-", "", None, "web\n", "x" * 64, "x" * 65]),
        st.text(max_size=4),
    ),
    "item_id": ids,
    "event_time": st.one_of(
        st.sampled_from([NOW, NOW + timedelta(minutes=5), NOW + timedelta(minutes=6)]),
        st.datetimes(timezones=st.just(UTC)),
    ),
    "quantity": numbers,
    "amount": numbers,
    "currency": st.sampled_from([None, "EUR", "eur", "EURO", "", "EUR\n"]),
    "decision_id": ids,
    "position": st.one_of(st.none(), st.integers(-2, 1002)),
    "attributes": st.dictionaries(
        st.one_of(st.text(max_size=3), st.just("k" * 65)),
        st.one_of(st.text(max_size=3), st.just("v" * 257), st.just("v" * 256)),
        max_size=18,
    ),
}
# Rows that are lawful but for a few fields: one odd value must be enough to be found out.
odd_fields = st.lists(st.sampled_from(SCHEMA.names), max_size=3, unique=True)
almost_lawful = odd_fields.flatmap(
    lambda names: st.fixed_dictionaries({name: odd_values[name] for name in names})
).map(lambda changes: replace(LAWFUL, **changes))


@given(st.lists(almost_lawful, max_size=8), st.integers(0, 3))
def test_a_table_is_judged_as_its_rows_are(given_rows: list[Interaction], skipped: int) -> None:
    table = table_of(given_rows).slice(skipped)
    judged = [check(row, vocabulary=VOCABULARY, now=NOW) for row in given_rows[skipped:]]
    expected = {place: broken for place, broken in enumerate(judged) if broken}
    found = violations(table, vocabulary=VOCABULARY, now=NOW)
    assert repr(found) == repr(expected)  # NaN is not equal to itself
