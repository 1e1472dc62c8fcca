"""Replies: a decision becomes the message that its frontend reads."""

import pytest
from interplay.v1.personalization_service_pb2 import (
    Candidate,
    DecideInteractionResponse,
    DegradationLevel,
    Freshness,
    Intent,
)

from features.item import Item
from serving.decider import Decision, Degradation
from serving.items.catalog import Catalog
from serving.policy import Intents, Ranked
from serving.replies import decision_reply

LONG = "a-type-of-a-hundred-and-thirty-letters" + "-" * 92


def reply(ranked: list[Ranked], intents: Intents) -> DecideInteractionResponse:
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
    )
    return decision_reply(decision, Catalog([Item(item_id="tea", name="Tea")]))


def test_a_decision_is_told_whole() -> None:
    ranked = [
        Ranked("tea", 0.75, (("purchase", 0.5), ("view", 0.25))),
        Ranked("mug", 0.125, (("view", 0.125), ("purchase", 0.0))),
    ]
    freshness = Freshness(
        interactions_seen=2, degradation_level=DegradationLevel.DEGRADATION_LEVEL_NONE
    )
    freshness.staleness.FromNanoseconds(0)
    freshness.newest_event_time.FromSeconds(1)
    assert reply(ranked, (("silence", 0.625), ("view", 0.375))) == DecideInteractionResponse(
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
    )


@pytest.mark.parametrize("name", ["", "é", LONG])
def test_types_of_any_length_survive(name: str) -> None:
    assert [*reply([], ((name, 0.5),)).intents] == [Intent(type=name, probability=0.5)]
    (candidate,) = reply([Ranked("tea", 0.5, ((name, 0.25),))], ()).candidates
    assert [*candidate.intents] == [Intent(type=name, probability=0.25)]
