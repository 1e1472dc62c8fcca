"""A canary: who is its own, and how it comes and goes without anybody noticing."""

import gc
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from interplay.v1.catalog_service_pb2 import Item, UpsertItemsRequest
from interplay.v1.decision_service_pb2 import ExplainDecisionRequest

import serving.rollout.canary
from features.rollout import CANARY
from features.settings import Home
from tests.artefacts import crown, stand, unalias
from tests.canaries import CUSTOMERS, canary_of, count, three_versions, versions
from tests.running import Running, decide, offered, record, viewed


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow this machine may be."""
    monkeypatch.setattr(serving.rollout.canary, "PATIENCE_S", 30.0)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return three_versions(tmp_path)


@pytest.fixture
def running(home: Home) -> Iterator[Running]:
    with Running(home.path) as running:
        yield running


# ---- Who is its own ----------------------------------------------------------------------------


def test_its_customers_are_a_share_and_stay_the_same(home: Home, running: Running) -> None:
    rollout = stand(home, CANARY, "2", 0.5)
    running.refresh()
    expected = ["2" if taken else "1" for taken in rollout.takes(CUSTOMERS)]
    assert 10 < expected.count("2") < 30
    assert versions(running) == expected
    assert versions(running, "app") == expected
    with Running(home.path) as other:
        assert versions(other) == expected
    assert count(running, "interplay_rollout_info", alias=CANARY, version="2") == 1


def test_a_share_that_grows_keeps_its_customers(home: Home, running: Running) -> None:
    stand(home, CANARY, "2", 0.2)
    running.refresh()
    few, model = versions(running), canary_of(running).pair.model
    stand(home, CANARY, "2", 0.6)
    running.refresh()
    many = versions(running)
    assert few.count("2") < many.count("2")
    assert all(after == "2" for before, after in zip(few, many, strict=True) if before == "2")
    assert canary_of(running).pair.model is model  # which has not been loaded again
    assert canary_of(running).evidence.runs == many.count("2")  # counted anew


def test_what_changes_in_the_catalog_counts_in_its_answers_at_once(
    home: Home, running: Running
) -> None:
    stand(home, CANARY, "2")
    running.refresh()
    running.catalog.UpsertItems(UpsertItemsRequest(items=[Item(item_id="kiwis", category="fruit")]))
    reply = decide(running, "ada", filter='category == "fruit"')
    assert (reply.model_version, offered(reply)) == ("2", ["kiwis"])
    with Running(home.path) as other:
        items = [Item(item_id="limes", category="fruit")]
        other.catalog.UpsertItems(UpsertItemsRequest(items=items))
    running.sweep()
    reply = decide(running, "ada", filter='category == "fruit"')
    assert (reply.model_version, set(offered(reply))) == ("2", {"kiwis", "limes"})


def test_its_decisions_can_be_explained(home: Home, running: Running) -> None:
    stand(home, CANARY, "2")
    running.refresh()
    record(running, viewed("ada", "cheese"))
    reply = decide(running, "ada", k=2)
    assert reply.model_version == "2"
    asked = ExplainDecisionRequest(decision_id=reply.decision_id)
    told = " ".join(running.decisions.ExplainDecision(asked).sentences)
    assert "does not serve any more" not in told
    assert "view" in told


# ---- How it comes and goes ---------------------------------------------------------------------


def test_no_call_fails_while_it_comes_and_goes_and_is_promoted(
    home: Home, running: Running
) -> None:
    ended = Event()

    def call(at: int) -> set[tuple[str, str]]:
        answers = set()
        while not ended.is_set():
            for customer in CUSTOMERS[at::4]:
                reply = decide(running, customer, k=1)
                answers.add((reply.model_version, *offered(reply)))
        return answers

    with ThreadPoolExecutor(4) as callers:
        calling = callers.map(call, range(4))
        try:
            for share in (0.3, 0.7):
                stand(home, CANARY, "2", share)
                running.refresh()
                assert {"1", "2"} == set(versions(running))
            unalias(home, CANARY)
            running.refresh()
            assert set(versions(running)) == {"1"}
            stand(home, CANARY, "2", 0.5)
            running.refresh()
            model = canary_of(running).pair.model
            crown(home, "2")
            running.refresh()
            assert running.server.decider.model is model  # which has not been loaded again
            assert running.server.decider.canary is None
            unalias(home, CANARY)
            running.refresh()
            assert set(versions(running)) == {"2"}
        finally:
            ended.set()
        assert set.union(*calling) == {("1", "apple"), ("2", "flour")}


def test_its_memory_is_let_go(home: Home, running: Running) -> None:
    stand(home, CANARY, "2")
    running.refresh()
    versions(running)
    running.run(running.server.decider.recorder.flush())
    old = weakref.ref(canary_of(running).pair.model.scorer)
    unalias(home, CANARY)
    running.refresh()
    versions(running)
    gc.collect()
    assert old() is None


def test_a_share_that_is_none_is_told_and_nothing_is_taken(
    home: Home, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    stand(home, CANARY, "2", float("nan"))
    running.refresh()
    running.refresh()
    assert set(versions(running)) == {"1"}
    told = [each.getMessage() for each in caplog.records if "canary_share" in each.getMessage()]
    assert len(told) == 1
    assert "canary_share 'nan'" in told[0]
