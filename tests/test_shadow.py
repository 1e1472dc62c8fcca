"""A shadow: it is asked as well, compared and counted, and leaves no trace in what is decided."""

from threading import Event

import numpy as np
import pytest
from interplay.v1.personalization_service_pb2 import DEGRADATION_LEVEL_NONE

from features.decisions.contract import messages, open_stream, rows_of
from features.policy.favours import NO_FAVOURS
from features.rollout import SHADOW
from features.settings import FeatureSettings, Home
from serving.policy.considered import Considered
from serving.rollout.shadow import Shadow, agreement
from tests.artefacts import stand, unalias
from tests.canaries import count
from tests.running import Running, decide, offered


def shadow_of(running: Running) -> Shadow:
    shadow = running.server.decider.shadow
    assert shadow is not None
    return shadow


def decisions(running: Running, ending: str) -> float:
    return count(running, "interplay_shadow_decisions_total", ending=ending)


def ask(running: Running, channel: str = "web") -> None:
    """Ten customers, who are all answered by the champion."""
    for number in range(10):
        reply = decide(running, f"customer-{number}", k=2, channel=channel)
        assert (reply.model_version, offered(reply)) == ("1", ["apple", "bread"])
        assert reply.freshness.degradation_level == DEGRADATION_LEVEL_NONE
        if (shadow := running.server.decider.shadow) is not None:
            shadow.settle()


def logged_versions(running: Running) -> list[str]:
    """The models of all decisions that are logged."""
    running.run(running.server.decider.recorder.flush())
    with open_stream(FeatureSettings(home=running.settings.home)) as stream:
        rows = [rows_of(each.data) for each in messages(stream)]
    return [version for each in rows for version in each["model_version"].to_pylist()]


def test_it_is_compared_and_leaves_no_trace_in_the_decision_log(
    three_models: Home, three_running: Running
) -> None:
    stand(three_models, SHADOW, "2")
    three_running.refresh()
    ask(three_running)
    assert decisions(three_running, "compared") == 10
    # apple, bread and flour, eggs: neither the first nor any of the two.
    assert count(three_running, "interplay_shadow_agreements_total") == 0
    assert count(three_running, "interplay_shadow_overlap_total") == 0
    assert count(three_running, "interplay_rollout_seconds_count", alias=SHADOW) == 10
    assert logged_versions(three_running) == ["1"] * 10
    assert count(three_running, "interplay_stage_seconds_count", stage="model") == 10
    stand(three_models, SHADOW, "3")
    three_running.refresh()
    ask(three_running)
    assert decisions(three_running, "compared") == 20
    assert count(three_running, "interplay_shadow_agreements_total") == 10
    assert count(three_running, "interplay_shadow_overlap_total") == 10
    unalias(three_models, SHADOW)
    three_running.refresh()
    ask(three_running)
    assert decisions(three_running, "compared") == 20
    assert logged_versions(three_running) == ["1"] * 30


def test_one_that_fails_is_counted_and_nobody_notices(
    three_models: Home, three_running: Running
) -> None:
    stand(three_models, SHADOW, "3")
    three_running.refresh()
    ask(three_running, "email")
    assert (decisions(three_running, "failed"), decisions(three_running, "compared")) == (10, 0)
    ask(three_running)
    assert (decisions(three_running, "failed"), decisions(three_running, "compared")) == (10, 10)


def test_one_that_is_busy_is_passed_over(three_models: Home, three_running: Running) -> None:
    stand(three_models, SHADOW, "2")
    three_running.refresh()
    shadow, go_on = shadow_of(three_running), Event()
    shadow.pair.model.scorer.on_run = lambda tokens_BLF: go_on.wait() and None  # type: ignore[union-attr]
    for _ in range(3):
        assert decide(three_running, "ada").model_version == "1"
    assert decisions(three_running, "dropped") == 2
    go_on.set()
    shadow.settle()
    assert decisions(three_running, "compared") == 1


def test_it_is_asked_in_its_share_of_the_decisions(
    three_models: Home, three_running: Running
) -> None:
    stand(three_models, SHADOW, "2", 0.3)
    three_running.refresh()
    for _ in range(10):
        ask(three_running)
    assert 10 < decisions(three_running, "compared") < 60  # of 100


def considered(values: dict[str, float]) -> Considered:
    value_K, nothing = np.array(list(values.values())), np.zeros(len(values))
    every = nothing, nothing.reshape(-1, 1), nothing, nothing
    return Considered(
        (), list(values), *every, value_K, None, np.zeros(0, int), nothing, 0.0, NO_FAVOURS
    )


def test_agreement_is_of_the_most_valuable() -> None:
    one = considered({"apple": 0.1, "bread": 0.5, "cheese": 0.3})
    other = considered({"bread": 0.2, "cheese": 0.1, "dates": 0.4})
    assert agreement(one, one, 2) == (True, 1.0)
    assert agreement(one, other, 1) == (False, 0.0)
    assert agreement(one, other, 2) == (False, 0.5)
    assert agreement(one, other, 4) == (False, pytest.approx(2 / 3))
    assert agreement(one, considered({}), 2) == (False, 0.0)
    assert agreement(considered({}), considered({}), 2) == (True, 1.0)
