"""Replies: a decision becomes the message that its frontend reads."""

import numpy as np
import pytest
from interplay.v1.personalization_service_pb2 import (
    Candidate,
    DecideInteractionResponse,
    DegradationLevel,
    Freshness,
    Intent,
    NoAction,
)

from features.item import Item
from features.policy.arbitration import Silence
from serving.decision import Decision
from serving.items.catalog import Catalog
from serving.policy.ranking import Ranked
from serving.remembering import Degradation
from serving.replies import decision_reply
from serving.wire import candidate_intents, reply_intents

LONG = "a-type-of-a-hundred-and-thirty-letters" + "-" * 92


def reply(
    ranked: list[Ranked], intents: bytes, silence: Silence | None = None
) -> DecideInteractionResponse:
    decision = Decision(
        decision_id="d1",
        ranked=ranked,
        intents=intents,
        model_version="3",
        interactions_seen=2,
        newest_tick=256,
        staleness_s=0.0,
        degradation=Degradation.NONE,
        profiled=True,
        policy_version="spring",
        silence=silence,
        detail="quiet-hours" if silence is Silence.FATIGUE else "",
        experiment="always-on",
        arm="full",
    )
    data = decision_reply(decision, Catalog([Item(item_id="tea", name="Tea")]))
    return DecideInteractionResponse.FromString(data)


def test_a_decision_is_told_whole() -> None:
    types = ("view", "purchase")
    tea, mug = candidate_intents(types, np.array([[0.25, 0.5], [0.125, 0.0]], np.float32))
    ranked = [Ranked("tea", 0.75, tea), Ranked("mug", 0.125, mug)]
    (intents,) = reply_intents(("view", "silence"), np.array([[0.375, 0.625]], np.float32))
    freshness = Freshness(
        interactions_seen=2, degradation_level=DegradationLevel.DEGRADATION_LEVEL_NONE
    )
    freshness.staleness.FromNanoseconds(0)
    freshness.newest_event_time.FromSeconds(1)
    assert reply(ranked, intents) == DecideInteractionResponse(
        decision_id="d1",
        candidates=[
            Candidate(
                item_id="tea",
                score=0.75,
                name="Tea",
                intents=[
                    Intent(type="purchase", probability=0.5),
                    Intent(type="view", probability=0.25),
                ],
            ),
            Candidate(
                item_id="mug",
                score=0.125,
                intents=[
                    Intent(type="view", probability=0.125),
                    Intent(type="purchase", probability=0.0),
                ],
            ),
        ],
        intents=[
            Intent(type="silence", probability=0.625),
            Intent(type="view", probability=0.375),
        ],
        model_version="3",
        freshness=freshness,
        profiled=True,
        policy_version="spring",
        experiment="always-on",
        arm="full",
    )


def test_silence_has_its_reason() -> None:
    told = reply([], b"", Silence.NO_CONSENT)
    assert told.no_action == NoAction(reason=NoAction.REASON_NO_CONSENT)
    tired = reply([], b"", Silence.FATIGUE).no_action
    assert tired == NoAction(reason=NoAction.REASON_FATIGUE, detail="quiet-hours")
    assert not reply([], b"").HasField("no_action")


def test_a_candidate_tells_what_it_is_worth() -> None:
    (told,) = reply([Ranked("tea", 0.5, b"", 0.25, 1.5, 0.875, 0.75)], b"").candidates
    worth = told.customer_value, told.company_value, told.value, told.propensity
    assert worth == (0.25, 1.5, 0.875, 0.75)


@pytest.mark.parametrize("name", ["", "é", LONG])
def test_types_of_any_length_survive(name: str) -> None:
    (intents,) = reply_intents([name], np.array([[0.5]]))
    assert [*reply([], intents).intents] == [Intent(type=name, probability=0.5)]
    (intents,) = candidate_intents([name], np.array([[0.25]]))
    (candidate,) = reply([Ranked("tea", 0.5, intents)], b"").candidates
    assert [*candidate.intents] == [Intent(type=name, probability=0.25)]


def test_of_equal_probabilities_the_first_type_comes_first() -> None:
    types = ("view", "purchase", "silence")
    (intents,) = reply_intents(types, np.array([[0.25, 0.25, 0.5]]))
    assert [each.type for each in reply([], intents).intents] == ["silence", "view", "purchase"]


def test_an_item_id_of_any_length_survives() -> None:
    (candidate,) = reply([Ranked("x" * 200, 0.5, b"")], b"").candidates
    assert (candidate.item_id, candidate.score, candidate.name) == ("x" * 200, 0.5, "")


def test_of_nothing_there_are_no_intents() -> None:
    assert candidate_intents(("view", "purchase"), np.zeros((0, 2))) == []
