"""ExplainDecision: why this, why not that, what was kept out, and what moved the score."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from interplay.v1.catalog_service_pb2 import Item, UpsertItemsRequest
from interplay.v1.decision_service_pb2 import ExplainDecisionRequest, ExplainDecisionResponse
from interplay.v1.interaction_pb2 import INITIATOR_COMPANY
from interplay.v1.personalization_service_pb2 import NoAction

from features.decisions.draining import drain_decisions
from features.held import Held
from features.settings import FeatureSettings, Home
from features.vocabulary import Initiator
from serving.explanation import Explanation, endings_of
from tests.artefacts import publish, write_artefact
from tests.decided import NOON, decided
from tests.policies import EVEN
from tests.running import Running, add_items, decide, record, viewed


def explain(running: Running, decision_id: str, item_id: str = "") -> ExplainDecisionResponse:
    request = ExplainDecisionRequest(decision_id=decision_id, item_id=item_id)
    return running.decisions.ExplainDecision(request)


def endings(reply: ExplainDecisionResponse) -> dict[str, str]:
    return {each.item_id: each.ending for each in reply.considered}


def test_what_was_offered_is_explained_in_fields_and_in_words(
    running: Running, customer: str
) -> None:
    record(running, viewed(customer, "bread"), viewed(customer, "bread"), viewed(customer, "eggs"))
    reply = decide(running, customer, k=2, placement="home", excluded_item_ids=["apple"])
    told = explain(running, reply.decision_id)
    assert (told.channel, told.placement, told.policy_version) == ("web", "home", "even")
    assert endings(told) == {
        "bread": "offered",
        "eggs": "offered",
        **dict.fromkeys(("cheese", "dates", "flour"), "outranked"),
    }
    assert [each.position for each in told.considered if each.HasField("position")] == [0, 1]
    assert told.considered[0].score == pytest.approx(reply.candidates[0].score)
    assert {each.reason: each.count for each in told.kept_out} == {"excluded": 1, "outranked": 3}
    first, second, *_ = told.sentences
    assert first.endswith("UTC web (home) asked what to offer. 5 items were considered.")
    assert second.startswith("1. Bread: ")
    kept_out = [each for each in told.sentences if each.startswith("Items that were not")]
    assert kept_out == [
        "Items that were not offered: 1 excluded by the request or its placement; "
        "3 worth less than what was offered."
    ]


def test_the_interactions_that_moved_the_score_are_found_by_leaving_them_out(
    running: Running, customer: str
) -> None:
    record(running, viewed(customer, "dates"), viewed(customer, "dates"), viewed(customer, "eggs"))
    reply = decide(running, customer, k=1)
    record(running, viewed(customer, "flour"))  # came later, and moved nothing
    told = explain(running, reply.decision_id)
    assert told.influenced_item_id == "dates"
    moved = {(each.interaction.item_id, each.change > 0) for each in told.influences}
    assert ("dates", True) in moved
    assert "flour" not in {each.interaction.item_id for each in told.influences}
    # Scored once more as it was: with all of the history the score is that of the decision.
    assert told.influences[0].interaction.item_id == "dates"
    assert 0 < told.influences[0].change < reply.candidates[0].score
    words = [each for each in told.sentences if "the score of Dates" in each]
    assert words[0].startswith("The view of Dates (app, 2026-")
    assert "raised the score of Dates by " in words[0]


def test_an_item_that_is_asked_about_is_explained(running: Running, customer: str) -> None:
    asked = {"excluded_item_ids": ["apple"], "candidate_item_ids": ["apple", "bread", "eggs"]}
    decision_id = decide(running, customer, k=1, **asked).decision_id
    expected = {
        "bread": "offered",
        "eggs": "outranked",
        "apple": "excluded",
        "flour": "not-asked-for",
    }
    for item_id, ending in expected.items():
        assert explain(running, decision_id, item_id).item.ending == ending
    sentence = explain(running, decision_id, "apple").item.sentence
    assert sentence == "Apple was not offered: the request or its placement excluded it."
    whole = decide(running, customer, k=1, filter='brand == "Alpina"').decision_id
    assert explain(running, whole, "eggs").item.ending == "filter"
    assert explain(running, whole, "nothing-such").item.ending == "unknown-item"


def test_what_is_not_available_now_is_named_as_such(running: Running, customer: str) -> None:
    gone = Item(item_id="grapes", name="Grapes", unavailable=True)
    running.catalog.UpsertItems(UpsertItemsRequest(items=[gone]))
    decision_id = decide(running, customer, k=1).decision_id
    assert explain(running, decision_id, "grapes").item.ending == "unavailable"


def test_silence_is_explained(running: Running, customer: str) -> None:
    reply = decide(running, customer, channel="email", initiator=INITIATOR_COMPANY)
    told = explain(running, reply.decision_id)
    assert told.no_action.reason == NoAction.REASON_NO_CONSENT
    assert told.initiator == INITIATOR_COMPANY
    assert told.sentences[0].endswith(
        "the company considered turning to the customer by email. "
        "Nothing was offered: the customer has not agreed to be turned to."
    )


def test_who_is_not_turned_to_was_offered_nothing(running: Running, customer: str) -> None:
    reply = decide(running, customer, channel="email", initiator=INITIATOR_COMPANY)
    item = explain(running, reply.decision_id, "eggs").item
    assert item.ending == "withheld"
    assert item.sentence == "Eggs was not offered: nothing was offered at all."


def test_what_is_drawn_by_lot_is_not_said_to_be_worth_more(tmp_path: Path) -> None:
    add_items(tmp_path)
    publish(Home(tmp_path), write_artefact(tmp_path / "artefact"))
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"{EVEN.read_text()}\nexploration: {{share: 1.0, places: 1}}\n")
    with Running(tmp_path, policy=policy) as server:
        reply = decide(server, "ada", k=1)
        (drawn,) = (each.item_id for each in reply.candidates)
        other = "eggs" if drawn != "eggs" else "bread"
        told = explain(server, reply.decision_id, other)
    assert told.sentences[1].endswith("It stood there by lot.")
    assert "5 passed over by the lot, or worth less than what was offered." in told.sentences[2]
    assert told.item.sentence.endswith("the lot fell on others, or others were worth more.")


def test_an_interaction_that_hardly_moved_the_score_is_not_told_in_words() -> None:
    logged = decided()
    held = Held(NOON, Initiator.CUSTOMER, "view", "web", None, 0.0)
    little, more = (
        Explanation(
            decision=logged,
            names={},
            endings=endings_of(logged),
            item_id="",
            item_ending="",
            influenced="apple",
            influences=[(held, change), (held, 0.00001)],
            exact=True,
            why_none="",
        )
        for change in (0.00004, 0.0002)
    )
    assert little.sentences()[-1] == (
        "No past interaction alone moved the score of apple by as much as 0.01%."
    )
    words = [each for each in more.sentences() if "the score of apple" in each]
    assert words == ["The view (web, 2026-03-01 12:00 UTC) raised the score of apple by 0.02%."]


def test_what_cannot_be_told_is_said(running: Running, customer: str) -> None:
    nothing = explain(running, decide(running, customer).decision_id)
    assert nothing.sentences[-1] == (
        "Which past interactions moved the score cannot be told: no past interaction counted."
    )
    popular = explain(running, decide(running, customer, channel="kiosk").decision_id)
    assert popular.sentences[1].startswith("The model could not run: ")
    assert popular.sentences[-1].endswith(": no item was scored.")


def test_an_unknown_decision_is_not_found(running: Running) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        explain(running, "0" * 32)
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert "0" * 32 in (refused.value.details() or "")
    with pytest.raises(grpc.RpcError) as refused:
        explain(running, "")
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Running]:
    """A server on a home of its own."""
    add_items(tmp_path / "home")
    publish(Home(tmp_path / "home"), write_artefact(tmp_path / "artefact"))
    with Running(tmp_path / "home", policy=EVEN, max_records=3) as server:
        yield server


def test_it_is_explained_after_draining_and_when_little_is_left_on_line(own: Running) -> None:
    record(own, viewed("ada", "dates"), viewed("ada", "eggs"), viewed("ada", "dates"))
    decision_id = decide(own, "ada", k=1).decision_id
    before = explain(own, decision_id)
    assert drain_decisions(FeatureSettings(home=own.settings.home)) == 1
    record(own, *(viewed("ada", "flour") for _ in range(3)))  # no other is held on-line now
    after = explain(own, decision_id)
    assert [each.change for each in after.influences] == [each.change for each in before.influences]
    assert len(after.influences) == 3


def test_a_model_that_serves_no_more_is_named(own: Running, tmp_path: Path) -> None:
    record(own, viewed("ada", "dates"))
    decision_id = decide(own, "ada").decision_id
    publish(Home(own.settings.home), write_artefact(tmp_path / "next"))
    own.refresh()
    told = explain(own, decision_id)
    assert told.sentences[-1].endswith("model 1, which decided, does not serve any more.")
    assert not told.influences
