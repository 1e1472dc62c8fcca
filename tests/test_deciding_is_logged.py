"""A server logs its decisions: what was considered, what was removed, and of whom who agrees."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from interplay.v1.interaction_pb2 import INITIATOR_COMPANY

from features.__main__ import main
from features.decisions.contract import open_stream
from features.decisions.decision import NOT_OFFERED, LoggedDecision
from features.decisions.finding import find_decision
from features.settings import FeatureSettings, Home
from tests.artefacts import publish, write_artefact
from tests.policies import EVEN
from tests.running import Running, add_items, decide, record, viewed

COLD = 'price < 5 || category == "frozen"'  # no item has a price, nor a category


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of our own, that is drained."""
    path = tmp_path_factory.mktemp("home")
    add_items(path)
    publish(Home(path), write_artefact(tmp_path_factory.mktemp("model") / "artefact"))
    return path


@pytest.fixture(scope="module")
def running(home: Path) -> Iterator[Running]:
    with Running(home, metrics_port=0) as server:
        yield server


def found(running: Running, decision_id: str) -> LoggedDecision | None:
    running.run(running.server.decider.recorder.flush())
    settings = FeatureSettings(home=running.settings.home)
    with open_stream(settings) as stream:
        return find_decision(Home(settings.home), stream, decision_id)


def test_what_was_considered_stands_in_the_log(running: Running, customer: str) -> None:
    record(running, viewed(customer, "bread"), viewed(customer, "bread"), viewed(customer, "eggs"))
    reply = decide(running, customer, k=2, placement="home", excluded_item_ids=["apple"])
    each = found(running, reply.decision_id)
    assert each is not None
    assert (each.customer_key, each.channel, each.placement) == (customer, "web", "home")
    assert (each.initiator, each.reason, each.policy_version) == ("CUSTOMER", "", "even")
    assert (each.model_version, each.degradation, each.k) == (reply.model_version, "NONE", 2)
    assert (each.history_count, len(each.history_hash)) == (3, 16)
    assert each.history_newest_time == reply.freshness.newest_event_time.ToDatetime(
        each.decide_time.tzinfo
    )
    candidates = each.candidates
    assert candidates.item_ids == ["bread", "eggs", "cheese", "dates", "flour"]
    assert candidates.position_K.tolist() == [0, 1] + [NOT_OFFERED] * 3
    assert candidates.propensity_K.tolist() == [1, 1, 0, 0, 0]
    scores = [one.score for one in reply.candidates]
    np.testing.assert_allclose(candidates.probability_KT.sum(axis=1)[:2], scores, rtol=1e-6)
    np.testing.assert_allclose(candidates.value_K[:2], [one.value for one in reply.candidates])
    assert each.removed == {"excluded": 1, "outranked": 3}


def test_what_removed_how_many_is_counted_by_reason(running: Running, customer: str) -> None:
    asked = {"candidate_item_ids": ["apple", "bread"], "filter": COLD}
    reply = decide(running, customer, **asked)
    each = found(running, reply.decision_id)
    assert each is not None
    assert (each.reason, each.filter) == ("not-eligible", COLD)
    assert each.asked_item_ids == ["apple", "bread"]
    assert each.removed == {"not-asked-for": 4, "filter": 2}
    assert each.candidates.item_ids == []


def test_silence_is_logged_with_its_reason(running: Running, customer: str) -> None:
    reply = decide(running, customer, channel="email", initiator=INITIATOR_COMPANY)
    each = found(running, reply.decision_id)
    assert each is not None
    assert (each.initiator, each.reason, each.considered_count) == ("COMPANY", "no-consent", 0)


def test_a_decision_by_popularity_is_logged_as_one(running: Running, customer: str) -> None:
    reply = decide(running, customer, channel="kiosk", k=2)  # see tests.artefacts
    each = found(running, reply.decision_id)
    assert each is not None
    assert (each.degradation, each.types) == ("POPULARITY", [])
    assert each.candidates.item_ids == [one.item_id for one in reply.candidates]
    assert each.candidates.position_K.tolist() == [0, 1]


def test_without_consent_to_measurement_nobody_is_named(home: Path, customer: str) -> None:
    with Running(home, assumed_consent="personalization") as server:
        record(server, viewed(customer, "bread"))
        reply = decide(server, customer)
        each = found(server, reply.decision_id)
    assert each is not None
    assert (each.customer_key, each.history_count, each.history_hash) == (None, 0, "")
    assert each.candidates.item_ids[0] == "bread"


def test_no_more_candidates_are_kept_than_declared(home: Path, customer: str) -> None:
    with Running(home, log_candidates=2) as server:
        reply = decide(server, customer, k=1)
        each = found(server, reply.decision_id)
        assert each is not None
        assert (len(each.candidates.item_ids), each.considered_count) == (2, 6)
    with Running(home, log_candidates=0) as server:
        assert found(server, decide(server, customer).decision_id) is None


def test_it_is_drained_and_found_again(running: Running, home: Path, customer: str) -> None:
    reply = decide(running, customer)
    assert found(running, reply.decision_id) is not None
    drained = CliRunner().invoke(main, ["drain", "--home", str(home)], catch_exceptions=False)
    assert re.search(r"interactions and [1-9]\d* decisions into the history", drained.output)
    assert found(running, reply.decision_id) is not None


def test_what_is_logged_is_counted(home: Path, customer: str) -> None:
    with Running(home, policy=EVEN) as server:
        decide(server, customer)
        server.run(server.server.decider.recorder.flush())
        value = server.server.metrics.registry.get_sample_value
        assert value("interplay_logged_decisions_total", {"ending": "written"}) == 1


def test_retain_and_erase_reach_the_decisions(home: Path, customer: str) -> None:
    with Running(home) as server:
        gone, kept = (decide(server, each).decision_id for each in (customer, "somebody-else"))
        assert found(server, gone) is not None
        erased = CliRunner().invoke(
            main, ["erase", customer, "--json", "--home", str(home)], catch_exceptions=False
        )
        assert '"decisions": 1' in erased.output
        assert found(server, gone) is None
        assert found(server, kept) is not None
        late = ["retain", "--now", "2040-01-01", "--home", str(home)]
        assert "decisions" in CliRunner().invoke(main, late, catch_exceptions=False).output
        assert found(server, kept) is None
