"""A contact is worth what it leads to: the model is asked for where the customer lands."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from interplay.v1.decision_service_pb2 import ExplainDecisionRequest
from interplay.v1.interaction_pb2 import INITIATOR_COMPANY
from interplay.v1.personalization_service_pb2 import DecideInteractionResponse

from features.policy.restraint import Contact
from features.settings import Home
from features.vocabulary import load_vocabulary
from serving.policy.contact_terms import contact_terms
from tests.artefacts import publish, write_artefact
from tests.policies import EVEN
from tests.running import Running, add_items, decide, offered, record, viewed


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a champion for which nobody views anything within an e-mail."""
    path = tmp_path_factory.mktemp("home")
    add_items(path)
    publish(Home(path), write_artefact(tmp_path_factory.mktemp("model") / "m", still="email"))
    return path


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A contact costs more than anything is worth where no type is probable."""
    path = tmp_path_factory.mktemp("policy") / "policy.yaml"
    path.write_text(EVEN.read_text() + "\nattention: {unasked: {other: 0.2}}\n")
    return path


@pytest.fixture(scope="module")
def own(home: Path, policy: Path) -> Iterator[Running]:
    every = "personalization, measurement, contact"
    with Running(home, policy=policy, assumed_consent=every) as server:
        yield server


def scores(reply: DecideInteractionResponse) -> list[float]:
    return [each.score for each in reply.candidates]


def test_a_contact_by_email_is_scored_as_in_the_web(own: Running, customer: str) -> None:
    record(own, *(viewed(customer, "cheese") for _ in range(3)))
    on_the_web, by_email = (decide(own, customer, channel=each) for each in ("web", "email"))
    contact = decide(own, customer, channel="email", initiator=INITIATOR_COMPANY)
    assert offered(contact)[0] == "cheese"
    assert scores(contact)[0] == scores(on_the_web)[0] > 2 * scores(by_email)[0]
    assert contact.candidates[0].value == pytest.approx(on_the_web.candidates[0].value - 0.2)
    asked = ExplainDecisionRequest(decision_id=contact.decision_id)
    told = own.decisions.ExplainDecision(asked)
    assert told.channel == "email"
    assert told.influences[0].change > 0


def test_the_policy_says_where_a_contact_leads(own: Running, policy: Path, customer: str) -> None:
    record(own, *(viewed(customer, "cheese") for _ in range(3)))
    policy.write_text(policy.read_text() + "contact: {landing: {email: email, kiosk: app}}\n")
    own.refresh()
    contact = {"initiator": INITIATOR_COMPANY}
    assert decide(own, customer, channel="email", **contact).HasField("no_action")
    assert offered(decide(own, customer, channel="kiosk", **contact))[0] == "cheese"


def test_what_is_built_in_is_passed_over_where_there_is_no_such_channel() -> None:
    vocabulary = load_vocabulary()
    rules = Contact(landing={"email": "store"})
    landing = {"email": "store", "sms": "web", "push": "app"}
    assert contact_terms(rules, vocabulary).landing == landing
    lone = replace(vocabulary, channels={"store": 3, "web": 1})
    assert contact_terms(rules, lone).landing == {"email": "store", "sms": "web"}
