"""Faults with real servers: nothing acknowledged is lost, nothing waits long, nothing is silent."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from interplay.v1.catalog_service_pb2 import Item, UpsertItemsRequest
from interplay.v1.customer_service_pb2 import GetCustomerRequest
from interplay.v1.personalization_service_pb2 import (
    DEGRADATION_LEVEL_INCOMPLETE_FEATURES,
    DEGRADATION_LEVEL_NONE,
    DEGRADATION_LEVEL_WITHOUT_FEATURES,
    RecordInteractionsRequest,
)

from benchmarks.fault.ingest import FORKER, killed_writers
from features.history.draining import drain
from features.history.partitions import count
from features.live import LiveFeatures
from features.log.contract import open_log
from features.record import RECORD
from features.settings import FeatureSettings, Home
from tests.artefacts import publish, write_artefact
from tests.nats_server import NatsServer
from tests.redis_server import RedisServer
from tests.running import Running, decide, record, viewed

KILLS = 50  # of each pair of log and online store


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a champion."""
    path = tmp_path / "home"
    publish(Home(path), write_artefact(tmp_path / "artefact"))
    return path


def pending(running: Running, item_id: str) -> bool:
    request = RecordInteractionsRequest(interactions=[viewed("ada", item_id)])
    return bool(running.personalization.RecordInteractions(request).pending)


def held(running: Running) -> int:
    return len(running.customers.GetCustomer(GetCustomerRequest(customer_id="ada")).interactions)


def level(running: Running) -> int:
    return int(decide(running, "ada", k=1).freshness.degradation_level)


def test_a_log_that_is_down_acknowledges_nothing_and_comes_back(
    home: Path, nats: NatsServer
) -> None:
    with Running(home, log_url=nats.url) as running:
        record(running, viewed("ada", "eggs"))
        nats.stop(signal.SIGKILL)
        again = viewed("ada", "dates")
        with pytest.raises(grpc.RpcError) as refused:
            record(running, again)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert held(running) == 1
        assert level(running) == DEGRADATION_LEVEL_NONE
        nats.start()
        while held(running) == 1:
            try:
                record(running, again)
            except grpc.RpcError as error:
                assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert record(running, again) == (0, 1)
        assert held(running) == 2


def test_a_call_too_large_for_the_log_is_refused_and_spoils_no_other(
    home: Path, tmp_path: Path
) -> None:
    with (
        NatsServer(tmp_path / "small", max_payload=4000) as server,
        Running(home, log_url=server.url) as running,
    ):
        large = [viewed("ada", "eggs", attributes=random_texts()) for _ in range(3)]
        with pytest.raises(grpc.RpcError) as refused:
            record(running, *large)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "must be 3,744 bytes at most" in refused.value.details()
        assert record(running, large[0]) == (1, 0)


def random_texts() -> dict[str, str]:
    return {f"a{n}": os.urandom(100).hex() for n in range(16)}


def test_a_store_that_is_away_leaves_writes_pending_and_answers_labelled(
    home: Path, nats: NatsServer, redis: RedisServer
) -> None:
    urls = {"log_url": nats.url, "online_url": redis.plain_url}
    with Running(home, **urls) as running:
        assert not pending(running, "eggs")
        redis.pause()
        assert pending(running, "dates")
        assert level(running) == DEGRADATION_LEVEL_WITHOUT_FEATURES
        redis.resume()
        sweep_until_it_answers(running)
        assert held(running) == 2
        assert level(running) == DEGRADATION_LEVEL_NONE


def sweep_until_it_answers(running: Running) -> None:
    """Its circuit breaker opens for a while after an outage."""
    while True:
        try:
            running.sweep()
            return running.sweep()
        except Exception as error:
            assert "online store does not answer" in str(error)


def test_a_store_that_hangs_is_not_waited_for(home: Path) -> None:
    with Running(home, read_ms=200.0) as running:
        assert not pending(running, "eggs")
        assert level(running) == DEGRADATION_LEVEL_NONE
        blocking = sqlite3.connect(Home(home).online, isolation_level=None)
        blocking.execute("BEGIN IMMEDIATE")  # writes wait for it, and reads behind them
        assert pending(running, "dates")
        assert level(running) == DEGRADATION_LEVEL_WITHOUT_FEATURES
        blocking.execute("ROLLBACK")
        blocking.close()
        running.sweep()
        assert held(running) == 2


def test_a_store_that_was_wiped_is_labelled_until_it_is_rebuilt(
    home: Path, nats: NatsServer, redis: RedisServer
) -> None:
    urls = {"log_url": nats.url, "online_url": redis.url}
    with Running(home, **urls) as running:
        record(running, viewed("ada", "eggs"))
        drain(running.settings)  # from now on the log alone does not suffice
        redis.kill()
        redis.start()
        sweep_until_it_answers(running)
        assert level(running) == DEGRADATION_LEVEL_INCOMPLETE_FEATURES
        subprocess.run(rebuild(running.settings), check=True, capture_output=True)
        assert level(running) == DEGRADATION_LEVEL_NONE
        assert held(running) == 1


def rebuild(settings: FeatureSettings) -> list[str]:
    places = ["--home", str(settings.home), "--log-url", settings.log_url]
    program = [sys.executable, "-m", "features", "rebuild"]
    return [*program, *places, "--online-url", settings.online_url]


def test_items_that_another_replica_wrote_are_learned(home: Path, nats: NatsServer) -> None:
    with (
        Running(home, log_url=nats.url) as one,
        Running(home, log_url=nats.url) as other,
    ):
        bread = Item(item_id="bread", name="Rye")
        one.catalog.UpsertItems(UpsertItemsRequest(items=[bread]))
        other.sweep()
        (offered,) = decide(other, "ada", k=5).candidates
        assert (offered.item_id, offered.name) == ("bread", "Rye")


@pytest.mark.parametrize("grown_up", [False, True])
def test_a_writer_killed_at_random_loses_nothing_and_repeats_nothing(
    grown_up: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    urls = ["", ""]
    if grown_up:
        urls = [request.getfixturevalue("nats").url, request.getfixturevalue("redis").url]
    settings = FeatureSettings(
        home=tmp_path / "home", max_records=5000, log_url=urls[0], online_url=urls[1]
    )
    LiveFeatures(settings).close()
    command = [sys.executable, "-c", FORKER, str(settings.home), *urls]
    acknowledged = killed_writers(command, KILLS)
    with LiveFeatures(settings) as live, open_log(settings) as log:
        for _ in range(2):
            live.sweep()
        logged = {each.interaction.interaction_id for each in log.read(after=0, limit=10**6)}
        (history,) = live.read(["ada"]).histories
        assert {str(each) for each in acknowledged} <= logged
        assert len(history) // RECORD.itemsize == len(logged)
    assert drain(settings) == count(Home(settings.home).history) == len(logged)
