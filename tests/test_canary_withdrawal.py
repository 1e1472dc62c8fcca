"""A canary that is worse: it goes by itself, everywhere, and nobody is hurt by it meanwhile."""

import sqlite3
from pathlib import Path
from threading import Event

import pytest
from interplay.v1.personalization_service_pb2 import DEGRADATION_LEVEL_POPULARITY

import serving.rollout.canary
from features.artefact import CHAMPION
from features.rollout import CANARY, REASON, WITHDRAWN
from features.settings import Home
from tests.artefacts import aliases, crown, noted, point, publish, stand, write_artefact
from tests.canaries import CUSTOMERS, canary_of, count, runs, versions
from tests.running import Running, decide

pytestmark = pytest.mark.usefixtures("patient")


def test_one_that_fails_is_withdrawn_everywhere_and_nobody_notices(
    three_models: Home, three_running: Running
) -> None:
    stand(three_models, CANARY, "3")
    three_running.refresh()
    with Running(three_models.path) as other:
        assert set(versions(three_running)) == {"3"}  # on the web it can run
        assert set(versions(other)) == {"3"}
        assert set(versions(three_running, "email")) == {"1"}
        assert three_running.server.decider.canary is None
        three_running.refresh()  # which waits until the registry has been told
        assert aliases(three_models) == {CHAMPION: "1"}
        assert noted(three_models, "3")[WITHDRAWN] > "2026"
        # 40 runs have gone well: the eighth that fails is enough, see test_canary_evidence.
        assert noted(three_models, "3")[REASON] == (
            "errors: 8 of 8 runs, 8 of 48 in all, failed where the champion answered"
        )
        assert (runs(three_running, "ok"), runs(three_running, "failed")) == (40, 8)
        other.refresh()
        assert set(versions(other)) == {"1"}
        for each in (three_running, other):
            withdrawn = count(each, "interplay_withdrawals_total", alias=CANARY, reason="errors")
            assert withdrawn == 1
            assert count(each, "interplay_rollout_info", alias=CANARY, version="3") == 0


def test_who_cannot_be_answered_by_anybody_is_no_reason(
    three_models: Home, three_running: Running
) -> None:
    stand(three_models, CANARY, "2")
    three_running.refresh()
    for each in CUSTOMERS:
        reply = decide(three_running, each, channel="kiosk")  # for which neither model can run
        assert reply.freshness.degradation_level == DEGRADATION_LEVEL_POPULARITY
        assert reply.model_version == "1"
    assert canary_of(three_running).evidence.failures == 0
    assert canary_of(three_running).evidence.runs == len(CUSTOMERS)


def test_a_withdrawn_version_comes_back_only_when_it_is_set_anew(
    three_models: Home, three_running: Running
) -> None:
    stand(three_models, CANARY, "3")
    three_running.refresh()
    versions(three_running, "email")
    three_running.refresh()
    point(three_models, CANARY, "3")
    three_running.refresh()
    assert three_running.server.decider.canary is None
    stand(three_models, CANARY, "3")
    three_running.refresh()
    assert set(versions(three_running)) == {"3"}


def test_where_the_registry_cannot_be_written_it_is_dropped_and_written_later(
    three_models: Home, three_running: Running
) -> None:
    stand(three_models, CANARY, "3")
    three_running.refresh()
    with sqlite3.connect(three_models.tracking) as registry:
        registry.execute(
            "CREATE TRIGGER full BEFORE INSERT ON model_version_tags"
            " BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        )
        registry.commit()
        assert set(versions(three_running, "email")) == {"1"}
        three_running.refresh()
        assert three_running.server.decider.canary is None
        assert aliases(three_models)[CANARY] == "3"
        assert set(versions(three_running)) == {"1"}
        registry.execute("DROP TRIGGER full")
        registry.commit()
    registry.close()
    three_running.refresh()
    assert CANARY not in aliases(three_models)
    assert noted(three_models, "3")[REASON].startswith("errors: ")


def test_one_that_must_not_serve_is_withdrawn_before_it_does(
    three_models: Home, three_running: Running, tmp_path: Path
) -> None:
    broken = write_artefact(tmp_path / "fourth")
    (broken / "model.onnx").write_bytes(b"no graph")
    publish(three_models, broken)
    crown(three_models, "1")
    stand(three_models, CANARY, "4")
    three_running.refresh()
    three_running.refresh()
    assert set(versions(three_running)) == {"1"}
    assert noted(three_models, "4")[REASON].startswith("artefact: ")
    assert CANARY not in aliases(three_models)


def test_one_that_is_late_is_not_waited_for(
    three_models: Home, three_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand(three_models, CANARY, "2")
    three_running.refresh()
    scorer, go_on = canary_of(three_running).pair.model.scorer, Event()
    scorer.on_run = lambda tokens_BLF: go_on.wait() and None  # type: ignore[union-attr]
    monkeypatch.setattr(serving.rollout.canary, "PATIENCE_S", 0.01)
    assert decide(three_running, "ada").model_version == "1"
    assert decide(three_running, "ada").model_version == "1"  # nothing is put to it meanwhile
    assert (runs(three_running, "late"), runs(three_running, "busy")) == (1, 1)
    assert canary_of(three_running).evidence.failures == 1
    monkeypatch.setattr(serving.rollout.canary, "PATIENCE_S", 30.0)
    go_on.set()
    while decide(three_running, "ada").model_version != "2":
        pass
    assert canary_of(three_running).evidence.stuck_s == 0
