"""A server decides by its policy: silence where it is better, and a changed file from then on."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from interplay.v1.interaction_pb2 import INITIATOR_COMPANY
from interplay.v1.personalization_service_pb2 import NoAction

from tests.policies import EVEN
from tests.running import NUMBERS, Running, asked, decide, record, viewed


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(EVEN.read_text())
    return path


@pytest.fixture
def own(home: Path, policy: Path) -> Iterator[Running]:
    """A server with a policy of its own."""
    with Running(home, policy=policy) as server:
        yield server


def opted_in(customer: str):  # type: ignore[no-untyped-def]
    return viewed(customer, "", type="opt-in", attributes={"purpose": "contact"})


def test_candidates_say_what_they_are_worth(running: Running, customer: str) -> None:
    reply = decide(running, customer, k=3)
    assert reply.policy_version == "even"
    assert not reply.HasField("no_action")
    for each in reply.candidates:
        assert each.customer_value == pytest.approx(each.score)
        assert each.company_value == pytest.approx(each.score)
        assert each.value == pytest.approx(each.score)
        assert each.propensity == 1
    values = [each.value for each in reply.candidates]
    assert values == sorted(values, reverse=True)


def test_who_did_not_agree_to_it_is_not_turned_to_unasked(running: Running, customer: str) -> None:
    reply = decide(running, customer, channel="email", initiator=INITIATOR_COMPANY)
    assert reply.no_action.reason == NoAction.REASON_NO_CONSENT
    assert not reply.candidates
    record(running, opted_in(customer))
    reply = decide(running, customer, channel="email", initiator=INITIATOR_COMPANY)
    assert reply.candidates
    assert not reply.HasField("no_action")


def test_what_is_not_worth_its_attention_is_not_offered(
    own: Running, policy: Path, customer: str
) -> None:
    record(own, opted_in(customer))
    policy.write_text(f"{EVEN.read_text()}\nattention: {{asked: 0.0, unasked: {{email: 5.0}}}}")
    own.refresh()
    reply = decide(own, customer, channel="email", initiator=INITIATOR_COMPANY)
    assert reply.no_action.reason == NoAction.REASON_LOW_VALUE
    assert reply.intents
    assert decide(own, customer, channel="sms", initiator=INITIATOR_COMPANY).candidates
    assert decide(own, customer, channel="email").candidates


def test_nothing_eligible_is_a_reason_for_silence(running: Running, customer: str) -> None:
    reply = decide(running, customer, candidate_item_ids=["nobody-knows-it"])
    assert reply.no_action.reason == NoAction.REASON_NOT_ELIGIBLE


def test_a_changed_file_decides_from_then_on_and_a_faulty_one_never(
    own: Running, policy: Path, customer: str, caplog: pytest.LogCaptureFixture
) -> None:
    policy.write_text(EVEN.read_text().replace("version: even", "version: odd"))
    own.refresh()
    assert decide(own, customer).policy_version == "odd"
    policy.write_text("version: broken\nweights: {customer: lots}")
    own.refresh()
    own.refresh()
    assert decide(own, customer).policy_version == "odd"
    (complaint,) = [each.message for each in caplog.records if "faults" in each.message]
    assert complaint.startswith("policy odd goes on, as the new one has faults:")
    assert "policy.yaml:2: weights.customer is 'lots'" in complaint


def test_an_initiator_that_there_is_not_is_refused(running: Running, customer: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        running.personalization.DecideInteraction(asked(customer_id=customer, initiator=7))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "initiator" in (refused.value.details() or "")


def test_dearer_attention_never_brings_more_contacts(own: Running, policy: Path) -> None:
    """Served, to customers who are expected to do something to very different degrees."""
    customers = [f"dear-{next(NUMBERS)}" for _ in range(6)]
    for count, customer in enumerate(customers):
        record(own, opted_in(customer), *(viewed(customer, "eggs") for _ in range(count)))

    def contacted(cost: float) -> int:
        rules = f"attention: {{unasked: {{other: {cost}}}}}\ncontact: {{budget: {{unasked: {{}}}}}}"
        policy.write_text(f"{EVEN.read_text()}\n{rules}")
        own.refresh()
        replies = [
            decide(own, each, channel="email", initiator=INITIATOR_COMPANY) for each in customers
        ]
        return sum(bool(each.candidates) for each in replies)

    @settings(max_examples=15)
    @given(st.lists(st.floats(0, 1, width=16), min_size=2, max_size=4))
    def rates_never_rise(costs: list[float]) -> None:
        rates = [contacted(each) for each in sorted(costs)]
        assert rates == sorted(rates, reverse=True)

    rates_never_rise()
    assert (contacted(0.0), contacted(1.0)) == (6, 0)
    assert 0 < contacted(0.3) < 6
