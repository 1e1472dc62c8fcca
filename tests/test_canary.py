"""A canary: who is its own, that nobody is hurt by it, and how it goes when it is worse."""

import gc
import sqlite3
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from interplay.v1.catalog_service_pb2 import Item, UpsertItemsRequest
from interplay.v1.decision_service_pb2 import ExplainDecisionRequest
from interplay.v1.personalization_service_pb2 import (
    DEGRADATION_LEVEL_NONE,
    DEGRADATION_LEVEL_POPULARITY,
)

import serving.rollout.canary
from features.artefact import CHAMPION
from features.rollout import CANARY, REASON, WITHDRAWN
from features.settings import Home
from serving.rollout.canary import Canary
from tests.artefacts import (
    ITEM_IDS,
    aliases,
    crown,
    noted,
    point,
    publish,
    stand,
    unalias,
    write_artefact,
)
from tests.running import Running, add_items, decide, offered, record, viewed

CUSTOMERS = [f"customer-{number}" for number in range(40)]
KNOWN = 5  # channels that the failing model knows: it cannot run for e-mail


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Three versions: the champion, one that ranks the other way round, and one that fails."""
    home = Home(tmp_path / "home")
    add_items(home.path)
    publish(home, write_artefact(tmp_path / "first"))
    publish(home, write_artefact(tmp_path / "second", item_ids=ITEM_IDS[::-1]))
    publish(home, write_artefact(tmp_path / "third", channels=KNOWN))
    crown(home, "1")
    return home


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow this machine may be."""
    monkeypatch.setattr(serving.rollout.canary, "PATIENCE_S", 30.0)


@pytest.fixture
def running(home: Home) -> Iterator[Running]:
    with Running(home.path) as running:
        yield running


def versions(running: Running, channel: str = "web") -> list[str]:
    """Which model answers each customer, whole and undegraded."""
    replies = [decide(running, each, k=1, channel=channel) for each in CUSTOMERS]
    levels = {each.freshness.degradation_level for each in replies}
    assert levels == {DEGRADATION_LEVEL_NONE}
    best = {("1", "apple"), ("2", "flour"), ("3", "apple")}
    assert {(each.model_version, *offered(each)) for each in replies} <= best
    return [each.model_version for each in replies]


def count(running: Running, name: str, **labels: str) -> float:
    return running.server.metrics.registry.get_sample_value(name, labels) or 0


def runs(running: Running, ending: str) -> float:
    return count(running, "interplay_rollout_runs_total", alias=CANARY, ending=ending)


def canary_of(running: Running) -> Canary:
    canary = running.server.decider.canary
    assert canary is not None
    return canary


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


# ---- How it is withdrawn -----------------------------------------------------------------------


def test_one_that_fails_is_withdrawn_everywhere_and_nobody_notices(
    home: Home, running: Running
) -> None:
    stand(home, CANARY, "3")
    running.refresh()
    with Running(home.path) as other:
        assert set(versions(running)) == {"3"}  # on the web it can run
        assert set(versions(other)) == {"3"}
        assert set(versions(running, "email")) == {"1"}
        assert running.server.decider.canary is None
        running.refresh()  # which waits until the registry has been told
        assert aliases(home) == {CHAMPION: "1"}
        assert noted(home, "3")[WITHDRAWN] > "2026"
        # 40 runs have gone well: the sixth that fails is enough, see test_canary_evidence.
        reason = "errors: 6 of 46 runs failed where the champion answered"
        assert noted(home, "3")[REASON] == reason
        assert (runs(running, "ok"), runs(running, "failed")) == (40, 6)
        other.refresh()
        assert set(versions(other)) == {"1"}
        for each in (running, other):
            withdrawn = count(each, "interplay_withdrawals_total", alias=CANARY, reason="errors")
            assert withdrawn == 1
            assert count(each, "interplay_rollout_info", alias=CANARY, version="3") == 0


def test_who_cannot_be_answered_by_anybody_is_no_reason(home: Home, running: Running) -> None:
    stand(home, CANARY, "2")
    running.refresh()
    for each in CUSTOMERS:
        reply = decide(running, each, channel="kiosk")  # for which neither model can run
        assert reply.freshness.degradation_level == DEGRADATION_LEVEL_POPULARITY
        assert reply.model_version == "1"
    assert canary_of(running).evidence.failed == 0
    assert canary_of(running).evidence.runs == len(CUSTOMERS)


def test_a_withdrawn_version_comes_back_only_when_it_is_set_anew(
    home: Home, running: Running
) -> None:
    stand(home, CANARY, "3")
    running.refresh()
    versions(running, "email")
    running.refresh()
    point(home, CANARY, "3")
    running.refresh()
    assert running.server.decider.canary is None
    stand(home, CANARY, "3")
    running.refresh()
    assert set(versions(running)) == {"3"}


def test_where_the_registry_cannot_be_written_it_is_dropped_and_written_later(
    home: Home, running: Running
) -> None:
    stand(home, CANARY, "3")
    running.refresh()
    with sqlite3.connect(home.tracking) as registry:
        registry.execute(
            "CREATE TRIGGER full BEFORE INSERT ON model_version_tags"
            " BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        )
        registry.commit()
        assert set(versions(running, "email")) == {"1"}
        running.refresh()
        assert running.server.decider.canary is None
        assert aliases(home)[CANARY] == "3"
        assert set(versions(running)) == {"1"}
        registry.execute("DROP TRIGGER full")
        registry.commit()
    registry.close()
    running.refresh()
    assert CANARY not in aliases(home)
    assert noted(home, "3")[REASON].startswith("errors: ")


def test_one_that_must_not_serve_is_withdrawn_before_it_does(
    home: Home, running: Running, tmp_path: Path
) -> None:
    broken = write_artefact(tmp_path / "fourth")
    (broken / "model.onnx").write_bytes(b"no graph")
    publish(home, broken)
    crown(home, "1")
    stand(home, CANARY, "4")
    running.refresh()
    running.refresh()
    assert set(versions(running)) == {"1"}
    assert noted(home, "4")[REASON].startswith("artefact: ")
    assert CANARY not in aliases(home)


def test_one_that_is_late_is_not_waited_for(
    home: Home, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand(home, CANARY, "2")
    running.refresh()
    scorer, go_on = canary_of(running).pair.model.scorer, Event()
    scorer.on_run = lambda tokens_BLF: go_on.wait() and None  # type: ignore[union-attr]
    monkeypatch.setattr(serving.rollout.canary, "PATIENCE_S", 0.01)
    assert decide(running, "ada").model_version == "1"
    assert decide(running, "ada").model_version == "1"  # nothing is put to it meanwhile
    assert (runs(running, "late"), runs(running, "busy")) == (1, 1)
    assert canary_of(running).evidence.failed == 1
    monkeypatch.setattr(serving.rollout.canary, "PATIENCE_S", 30.0)
    go_on.set()
    while decide(running, "ada").model_version != "2":
        pass
    assert canary_of(running).evidence.stuck_s == 0
