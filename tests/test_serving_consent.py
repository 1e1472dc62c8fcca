"""Without consent to personalization nobody's history counts; a change holds from the next call."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from interplay.v1.customer_service_pb2 import GetCustomerRequest
from interplay.v1.personalization_service_pb2 import DecideInteractionRequest

from serving.settings import ServingSettings
from tests.running import Running, decide, record, viewed


@pytest.fixture(scope="module")
def strict(home: Path) -> Iterator[Running]:
    """A server that assumes nothing."""
    with Running(home, assumed_consent="") as server:
        yield server


def said(customer: str, type_: str, purpose: str = "personalization"):  # type: ignore[no-untyped-def]
    return viewed(customer, "", type=type_, attributes={"purpose": purpose})


def test_who_has_said_nothing_is_answered_without_history(strict: Running, customer: str) -> None:
    record(strict, viewed(customer, "item-1"))
    reply = decide(strict, customer)
    assert (reply.profiled, reply.freshness.interactions_seen) == (False, 0)
    assert reply.candidates


def test_consent_counts_from_the_next_request_on(strict: Running, customer: str) -> None:
    record(strict, viewed(customer, "item-1"), said(customer, "opt-in"))
    assert decide(strict, customer).freshness.interactions_seen == 2
    record(strict, said(customer, "opt-out"))
    reply = decide(strict, customer)
    assert (reply.profiled, reply.freshness.interactions_seen) == (False, 0)


def test_consent_that_comes_with_the_question_counts_in_its_answer(
    strict: Running, customer: str
) -> None:
    request = DecideInteractionRequest(
        customer_id=customer, channel="web", interactions=[said(customer, "opt-in")]
    )
    assert strict.personalization.DecideInteraction(request).profiled


def test_consent_to_something_else_is_no_consent(strict: Running, customer: str) -> None:
    record(strict, said(customer, "opt-in", "contact"))
    assert not decide(strict, customer).profiled


def test_a_refusal_holds_where_consent_is_assumed(running: Running, customer: str) -> None:
    assert decide(running, customer).profiled
    record(running, said(customer, "opt-out"))
    assert not decide(running, customer).profiled


def test_the_customer_sees_what_was_said(strict: Running, customer: str) -> None:
    record(strict, said(customer, "opt-in"), said(customer, "opt-out", "contact"))
    reply = strict.customers.GetCustomer(GetCustomerRequest(customer_id=customer))
    found = [(each.purpose, each.allowed) for each in reply.consents]
    assert found == [("contact", False), ("personalization", True)]


def test_a_purpose_that_there_is_not_cannot_be_assumed() -> None:
    with pytest.raises(ValueError, match="purpose 'everything' is not one of"):
        ServingSettings(assumed_consent="everything")
