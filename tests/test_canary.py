"""A canary: who is its own, and how it comes and goes without anybody noticing."""

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from interplay.v1.catalog_service_pb2 import Item, UpsertItemsRequest
from interplay.v1.decision_service_pb2 import ExplainDecisionRequest

from features.rollout import CANARY
from features.settings import Home
from tests.artefacts import crown, stand, unalias
from tests.canaries import CUSTOMERS, canary_of, count, versions
from tests.running import Running, decide, offered, record, viewed

pytestmark = pytest.mark.usefixtures("patient")


# ---- Who is its own ----------------------------------------------------------------------------


def test_its_customers_are_a_share_and_stay_the_same(
    three_models: Home, three_running: Running
) -> None:
    rollout = stand(three_models, CANARY, "2", 0.5)
    three_running.refresh()
    expected = ["2" if taken else "1" for taken in rollout.takes(CUSTOMERS)]
    assert 10 < expected.count("2") < 30
    assert versions(three_running) == expected
    assert versions(three_running, "app") == expected
    with Running(three_models.path) as other:
        assert versions(other) == expected
    assert count(three_running, "interplay_rollout_info", alias=CANARY, version="2") == 1


def test_a_share_that_grows_keeps_its_customers(three_models: Home, three_running: Running) -> None:
    stand(three_models, CANARY, "2", 0.2)
    three_running.refresh()
    few, model = versions(three_running), canary_of(three_running).pair.model
    stand(three_models, CANARY, "2", 0.6)
    three_running.refresh()
    many = versions(three_running)
    assert few.count("2") < many.count("2")
    assert all(after == "2" for before, after in zip(few, many, strict=True) if before == "2")
    assert canary_of(three_running).pair.model is model  # which has not been loaded again
    assert canary_of(three_running).evidence.runs == many.count("2")  # counted anew


def test_what_changes_in_the_catalog_counts_in_its_answers_at_once(
    three_models: Home, three_running: Running
) -> None:
    stand(three_models, CANARY, "2")
    three_running.refresh()
    three_running.catalog.UpsertItems(
        UpsertItemsRequest(items=[Item(item_id="kiwis", category="fruit")])
    )
    reply = decide(three_running, "ada", filter='category == "fruit"')
    assert (reply.model_version, offered(reply)) == ("2", ["kiwis"])
    with Running(three_models.path) as other:
        items = [Item(item_id="limes", category="fruit")]
        other.catalog.UpsertItems(UpsertItemsRequest(items=items))
    three_running.sweep()
    reply = decide(three_running, "ada", filter='category == "fruit"')
    assert (reply.model_version, set(offered(reply))) == ("2", {"kiwis", "limes"})


def test_its_decisions_can_be_explained(three_models: Home, three_running: Running) -> None:
    stand(three_models, CANARY, "2")
    three_running.refresh()
    record(three_running, viewed("ada", "cheese"))
    reply = decide(three_running, "ada", k=2)
    assert reply.model_version == "2"
    asked = ExplainDecisionRequest(decision_id=reply.decision_id)
    told = " ".join(three_running.decisions.ExplainDecision(asked).sentences)
    assert "does not serve any more" not in told
    assert "view" in told


# ---- How it comes and goes ---------------------------------------------------------------------


def test_no_call_fails_while_it_comes_and_goes_and_is_promoted(
    three_models: Home, three_running: Running
) -> None:
    ended = Event()

    def call(at: int) -> set[tuple[str, str]]:
        answers = set()
        while not ended.is_set():
            for customer in CUSTOMERS[at::4]:
                reply = decide(three_running, customer, k=1)
                answers.add((reply.model_version, *offered(reply)))
        return answers

    with ThreadPoolExecutor(4) as callers:
        calling = callers.map(call, range(4))
        try:
            for share in (0.3, 0.7):
                stand(three_models, CANARY, "2", share)
                three_running.refresh()
                assert {"1", "2"} == set(versions(three_running))
            unalias(three_models, CANARY)
            three_running.refresh()
            assert set(versions(three_running)) == {"1"}
            stand(three_models, CANARY, "2", 0.5)
            three_running.refresh()
            model = canary_of(three_running).pair.model
            crown(three_models, "2")
            three_running.refresh()
            assert three_running.server.decider.model is model  # which has not been loaded again
            assert three_running.server.decider.canary is None
            unalias(three_models, CANARY)
            three_running.refresh()
            assert set(versions(three_running)) == {"2"}
        finally:
            ended.set()
        assert set.union(*calling) == {("1", "apple"), ("2", "flour")}


def test_its_memory_is_let_go(three_models: Home, three_running: Running) -> None:
    stand(three_models, CANARY, "2")
    three_running.refresh()
    versions(three_running)
    three_running.run(three_running.server.decider.recorder.flush())
    old = weakref.ref(canary_of(three_running).pair.model.scorer)
    unalias(three_models, CANARY)
    three_running.refresh()
    versions(three_running)
    gc.collect()
    assert old() is None


def test_a_share_that_is_none_is_told_and_nothing_is_taken(
    three_models: Home, three_running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    stand(three_models, CANARY, "2", float("nan"))
    three_running.refresh()
    three_running.refresh()
    assert set(versions(three_running)) == {"1"}
    told = [each.getMessage() for each in caplog.records if "canary_share" in each.getMessage()]
    assert len(told) == 1
    assert "canary_share 'nan'" in told[0]
