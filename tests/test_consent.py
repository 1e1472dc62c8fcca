"""Consent is what was said last, purpose by purpose; nothing said means no."""

from datetime import UTC, datetime, timedelta

import pytest

from features.interaction import Interaction, Purpose, check
from features.privacy.consent import SAID_NOTHING, consent_of, consent_records, parse_purposes
from features.record import RECORD_BYTES, merge
from features.vocabulary import load_vocabulary
from tests.interactions import START, interaction

VOCABULARY = load_vocabulary()
NOW = datetime(2030, 1, 1, tzinfo=UTC)
EVERYTHING = frozenset(Purpose)


def said(type_: str, purpose: str | None, *, hour: int = 0, number: int = 0) -> Interaction:
    return interaction(
        number,
        type=type_,
        item_id=None,
        event_time=START + timedelta(hours=hour),
        attributes={} if purpose is None else {"purpose": purpose},
    )


def after(*interactions: Interaction) -> dict[str, bool]:
    held = b""
    for each in interactions:
        held = merge(held, consent_records(each, VOCABULARY), max_records=32)
    return {str(purpose): yes for purpose, yes in consent_of(held, VOCABULARY).said.items()}


def test_nothing_said_is_no_unless_it_is_assumed() -> None:
    assert not any(SAID_NOTHING.allows(each) for each in Purpose)
    assumed = frozenset({Purpose.CONTACT})
    assert SAID_NOTHING.allows(Purpose.CONTACT, assumed=assumed)
    assert not SAID_NOTHING.allows(Purpose.MEASUREMENT, assumed=assumed)


def test_what_was_said_last_holds_in_whatever_order_it_arrives() -> None:
    yes = said("opt-in", "contact", hour=1, number=1)
    no = said("opt-out", "contact", hour=2, number=2)
    assert after(yes, no) == after(no, yes) == after(no, yes, no) == {"contact": False}


def test_purposes_are_apart() -> None:
    assert after(said("opt-in", "contact"), said("opt-in", "measurement", number=1)) == {
        "contact": True,
        "measurement": True,
    }


def test_a_refusal_holds_even_where_consent_is_assumed() -> None:
    held = consent_records(said("opt-out", "contact"), VOCABULARY)
    assert not consent_of(held, VOCABULARY).allows(Purpose.CONTACT, assumed=EVERYTHING)


def test_an_opt_out_without_purpose_withdraws_everything() -> None:
    assert after(said("opt-in", "contact"), said("opt-out", None, hour=1)) == {
        "personalization": False,
        "measurement": False,
        "contact": False,
    }


def test_other_interactions_say_nothing() -> None:
    assert consent_records(interaction(1), VOCABULARY) == b""


def test_a_purpose_is_one_record() -> None:
    assert len(consent_records(said("opt-in", "contact"), VOCABULARY)) == RECORD_BYTES


@pytest.mark.parametrize(
    ("type_", "purpose", "violation"),
    [
        ("opt-in", None, "attributes['purpose'] is absent: an opt-in names one of "),
        ("opt-in", "fun", "attributes['purpose'] is 'fun': must be one of personalization, "),
        ("opt-out", "", "attributes['purpose'] is '': must be one of personalization, "),
    ],
)
def test_a_wrong_purpose_is_refused(type_: str, purpose: str | None, violation: str) -> None:
    found = check(said(type_, purpose), vocabulary=VOCABULARY, now=NOW)
    assert [str(each)[: len(violation)] for each in found] == [violation]


def test_an_opt_out_of_everything_may_enter() -> None:
    assert check(said("opt-out", None), vocabulary=VOCABULARY, now=NOW) == []


def test_purposes_are_read_from_a_setting() -> None:
    assert parse_purposes("") == frozenset()
    assert parse_purposes("contact, measurement") == {Purpose.CONTACT, Purpose.MEASUREMENT}
    with pytest.raises(ValueError, match="purpose 'all' is not one of personalization, "):
        parse_purposes("contact,all")
