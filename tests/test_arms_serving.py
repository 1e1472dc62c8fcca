"""A server decides in arms: each customer in one, in every channel, and says in which."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from interplay.v1.decision_service_pb2 import ExplainDecisionRequest
from interplay.v1.interaction_pb2 import INITIATOR_COMPANY
from interplay.v1.personalization_service_pb2 import DecideInteractionResponse, NoAction

from features.decisions.contract import open_stream
from features.decisions.finding import find_decision
from features.settings import FeatureSettings, Home
from tests.policies import EVEN
from tests.running import Running, decide, offered, record, viewed


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("policy") / "policy.yaml"


@pytest.fixture(scope="module")
def own(home: Path, policy: Path) -> Iterator[Running]:
    policy.write_text(EVEN.read_text())
    with Running(home, policy=policy) as server:
        yield server


def put_all_into(own: Running, arm: str) -> None:
    text = f"{EVEN.read_text()}\nexperiment: {{name: spring, shares: {{{arm}: 1.0}}}}"
    own.settings.policy.write_text(text)
    own.refresh()


def opted_in(customer: str):  # type: ignore[no-untyped-def]
    return viewed(customer, "", type="opt-in", attributes={"purpose": "contact"})


def contacted(own: Running, customer: str) -> DecideInteractionResponse:
    return decide(own, customer, channel="email", initiator=INITIATOR_COMPANY)


def test_without_an_experiment_there_is_no_arm(running: Running, customer: str) -> None:
    reply = decide(running, customer)
    assert (reply.experiment, reply.arm) == ("", "")


def test_who_is_left_alone_is_answered_like_anybody_but_never_turned_to(
    own: Running, customer: str
) -> None:
    put_all_into(own, "no_contact")
    record(own, opted_in(customer), viewed(customer, "eggs"), viewed(customer, "eggs"))
    assert contacted(own, customer).no_action.reason == NoAction.REASON_HOLDOUT
    reply = decide(own, customer)
    assert (reply.experiment, reply.arm, reply.profiled) == ("spring", "no-contact", False)
    assert offered(reply)[0] == "apple"
    assert reply.freshness.interactions_seen == 0
    value = own.server.metrics.registry.get_sample_value
    counted = [
        value("interplay_arm_decisions_total", {"arm": "no-contact", "action": each})
        for each in ("OFFER", "HOLDOUT")
    ]
    assert counted == [1, 1]


def test_what_the_customer_wants_is_the_reason_before_the_experiment(
    own: Running, customer: str
) -> None:
    put_all_into(own, "no_contact")
    assert contacted(own, customer).no_action.reason == NoAction.REASON_NO_CONSENT


def test_without_personalization_the_history_does_not_count(own: Running, customer: str) -> None:
    put_all_into(own, "no_personalization")
    record(own, opted_in(customer), viewed(customer, "eggs"), viewed(customer, "eggs"))
    reply = decide(own, customer)
    assert (reply.arm, reply.profiled) == ("no-personalization", False)
    assert offered(reply)[0] == "apple"
    assert contacted(own, customer).candidates


def test_by_probability_alone_what_is_worth_nothing_is_offered(own: Running, customer: str) -> None:
    put_all_into(own, "propensity_only")
    text = own.settings.policy.read_text()
    own.settings.policy.write_text(f"{text}\nattention: {{asked: 9.0}}")
    own.refresh()
    record(own, viewed(customer, "eggs"), viewed(customer, "eggs"))
    reply = decide(own, customer)
    assert (reply.arm, reply.profiled) == ("propensity-only", True)
    assert offered(reply)[0] == "eggs"
    assert reply.candidates[0].value < 0


def test_at_random_propensities_are_exact(own: Running, customer: str) -> None:
    put_all_into(own, "random_eligible")
    reply = decide(own, customer, k=4)
    assert reply.arm == "random-eligible"
    assert [each.propensity for each in reply.candidates] == pytest.approx([1 / 6] * 4)


def test_the_arm_is_logged_and_explained(own: Running, customer: str) -> None:
    put_all_into(own, "no_contact")
    record(own, opted_in(customer))
    reply = contacted(own, customer)
    explained = own.decisions.ExplainDecision(ExplainDecisionRequest(decision_id=reply.decision_id))
    assert "For comparison (experiment spring) the customer is left alone" in "\n".join(
        explained.sentences
    )
    settings = FeatureSettings(home=own.settings.home)
    with open_stream(settings) as stream:
        logged = find_decision(Home(settings.home), stream, reply.decision_id)
    assert logged is not None
    assert (logged.experiment, logged.arm, logged.reason) == ("spring", "no-contact", "holdout")


def test_a_device_that_is_joined_is_in_the_arm_of_its_customer(own: Running, customer: str) -> None:
    text = f"{EVEN.read_text()}\nexperiment: {{name: halves, shares: {{random_eligible: 0.5}}}}"
    own.settings.policy.write_text(text)
    own.refresh()
    arms = set()
    for number in range(8):
        device, known = f"{customer}-device-{number}", f"{customer}-{number}"
        arms.add(decide(own, "", anonymous_id=device).arm)
        record(own, viewed(known, "", type="identify", anonymous_id=device))
        replies = decide(own, "", anonymous_id=device), decide(own, known, channel="store")
        assert replies[0].arm == replies[1].arm
    assert arms == {"full", "random-eligible"}


def test_who_does_not_agree_to_measurement_is_in_no_experiment(home: Path, customer: str) -> None:
    text = f"{EVEN.read_text()}\nexperiment: {{shares: {{no_personalization: 1.0}}}}"
    policy = home / "policy.yaml"
    policy.write_text(text)
    with Running(home, policy=policy, assumed_consent="personalization") as server:
        record(server, viewed(customer, "eggs"), viewed(customer, "eggs"))
        reply = decide(server, customer)
    assert (reply.arm, offered(reply)[0]) == ("", "eggs")
