"""Redis as online store: read as Feast reads it, bounded waits when it fails, and a cluster."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from feast import FeatureService
from feast.infra.online_stores.redis import RedisOnlineStore
from feast.online_response import OnlineResponse
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from pybreaker import STATE_CLOSED, STATE_OPEN

from features.online.configuration import PROJECT
from features.online.contract import OnlineError, Row
from features.online.definitions import RECORDS
from features.online.redis_link import OUTAGES_IN_A_ROW, PROBE_EVERY_S, TIMEOUT_S, RedisLink
from features.online.store import OnlineFeatures
from features.settings import FeatureSettings
from tests.redis_server import RedisServer, SlowLine
from tests.test_online import records


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def online(server: RedisServer, tmp_path: Path) -> OnlineFeatures:
    return OnlineFeatures(FeatureSettings(home=tmp_path, online_url=server.url))


def hasty_to(url: str, home: Path) -> OnlineFeatures:
    """Waits hardly longer than serving does, and probes when it is told to."""
    online = OnlineFeatures(FeatureSettings(home=home, online_url=f"{url}?socket_timeout=0.15"))
    link(online).breaker.reset_timeout = 3600
    return online


def link(online: OnlineFeatures) -> RedisLink:
    return online._store.link(online._config)  # type: ignore[attr-defined]


def stock_answer(
    online: OnlineFeatures, service: FeatureService, keys: list[str]
) -> OnlineResponse:
    """What Feast's own class reads from the same server."""
    stock = RedisOnlineStore()
    stock._client = link(online).client
    feast = online.feast
    rows = {"customer_key": keys}
    return stock.get_online_features(
        online._config, service, rows, feast.registry, online._config.project
    )


@pytest.mark.parametrize("count", [1, 3, 700])
def test_the_lean_read_equals_feasts_own(online: OnlineFeatures, count: int) -> None:
    for number in range(count):
        name = f"lean-{number}"
        online.write_records({name: records(*range(number % 90))})
        if number % 3 == 0:
            online.write_consents({name: records(number + 1)})
        if number % 5 == 0:
            online.write_joins({name: f"joined-{number}"})
    keys = [f"lean-{number}" for number in range(count)] + ["nobody", "", "\u00e9t\u00e9", "lean-0"]
    service = online._views.decision
    lean = online.feast.get_online_features(service, {"customer_key": keys})
    stock = stock_answer(online, service, keys)
    assert online._store._plans[service.name][1] is not None  # type: ignore[attr-defined]
    assert lean.proto == stock.proto
    assert lean.to_dict(include_event_timestamps=True) == stock.to_dict(
        include_event_timestamps=True
    )


def test_a_write_dated_long_ago_is_no_less_a_write(online: OnlineFeatures) -> None:
    entity = EntityKey(join_keys=["customer_key"], entity_values=[Value(string_val="dated")])
    for year, tick in ((2099, 1), (1999, 2)):
        moment, row = datetime(year, 1, 1, tzinfo=UTC), {RECORDS: Value(bytes_val=records(tick))}
        data: list[Row] = [(entity, row, moment, None)]
        online._store.online_write_batch(online._config, online._views.history, data, None)
    assert online.read_histories(["dated"]) == [records(1, 2)]


def test_waits_are_bounded(server: RedisServer, tmp_path: Path) -> None:
    online = OnlineFeatures(FeatureSettings(home=tmp_path, online_url=server.plain_url))
    settings = link(online).client.connection_pool.connection_kwargs  # type: ignore[union-attr]
    assert settings["socket_timeout"] == settings["socket_connect_timeout"] == TIMEOUT_S == 0.05
    assert settings["retry"].get_retries() == 0
    assert link(online).breaker.reset_timeout == PROBE_EVERY_S == 1.0


def test_a_paused_server_fails_reads_until_it_goes_on(
    online: OnlineFeatures, server: RedisServer, tmp_path: Path
) -> None:
    online.write_records({"paused": records(1)})
    hasty = hasty_to(server.plain_url, tmp_path / "hasty")
    server.pause()
    try:
        for _ in range(OUTAGES_IN_A_ROW):  # each of them returns, or nobody would resume it
            with pytest.raises(OnlineError, match=r"^Redis at .* could not read features: Timeout"):
                hasty.read_histories(["paused"])
        with pytest.raises(OnlineError, match="it has failed, next try within a second"):
            hasty.read_histories(["paused"])
        with pytest.raises(OnlineError, match="could not merge into history"):
            hasty.write_records({"paused": records(2)})
    finally:
        server.resume()
    link(hasty).breaker.half_open()  # as after a second
    assert hasty.read_histories(["paused"]) == [records(1)]
    assert link(hasty).breaker.current_state == STATE_CLOSED


def test_a_killed_server_that_comes_back_is_empty_and_not_whole(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        online = OnlineFeatures(FeatureSettings(home=tmp_path, online_url=server.url))
        online.write_records({"ada": records(1)})
        online.advance("stream", 7)
        online.mark_whole("log")
        assert online.read(["ada"], log_id="log").whole
        server.kill()
        with pytest.raises(OnlineError, match="could not read features: "):
            online.read(["ada"], log_id="log")
        with pytest.raises(OnlineError, match="could not say what it holds of stream: "):
            online.applied_position("stream")
        server.start()
        reading = online.read(["ada"], log_id="log")  # two failures are not yet an outage
        assert (reading.histories, reading.whole) == ([b""], False)
        assert online.applied_position("stream") == 0
        assert online.merge_records({"ada": records(2)}) == {"ada": 1}  # scripts are loaded anew


def test_a_restart_between_two_reads_is_not_a_failure(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        online = OnlineFeatures(FeatureSettings(home=tmp_path, online_url=server.url))
        assert online.read_histories(["ada"]) == [b""]
        server.kill()
        server.start()
        assert online.read_histories(["ada"]) == [b""]


def test_a_slow_server_is_not_asked_again_at_once(
    online: OnlineFeatures, server: RedisServer, tmp_path: Path
) -> None:
    online.write_records({"slow": records(1)})
    line = SlowLine(server.port)
    hasty = hasty_to(line.url, tmp_path / "hasty")
    line.delay_s = 0.2
    for _ in range(OUTAGES_IN_A_ROW):
        with pytest.raises(OnlineError, match="could not read features: "):
            hasty.read_histories(["slow"])
    assert link(hasty).breaker.current_state == STATE_OPEN
    asked = line.question_count
    for _ in range(3):
        with pytest.raises(OnlineError, match="next try within a second"):
            hasty.read_histories(["slow"])
    assert line.question_count == asked
    line.delay_s = 0.0
    link(hasty).breaker.half_open()  # as after a second
    assert hasty.read_histories(["slow"]) == [records(1)]
    line.close()


def test_what_redis_refuses_is_no_outage(online: OnlineFeatures, server: RedisServer) -> None:
    client = link(online).client
    client.set(f"{{{PROJECT}:taken}}:applied", "text")
    for _ in range(OUTAGES_IN_A_ROW + 1):
        with pytest.raises(OnlineError, match="could not note what it holds of taken: "):
            online.note_applied("taken", [1])
    assert link(online).breaker.current_state == STATE_CLOSED
    assert online.read_histories(["ada"]) == [b""]


def test_a_password_is_not_told(tmp_path: Path) -> None:
    url = "redis://ada:secret@127.0.0.1:1/0"
    online = OnlineFeatures(FeatureSettings(home=tmp_path, online_url=url))
    with pytest.raises(OnlineError, match=r"^Redis at 127.0.0.1:1/0 could not ") as refused:
        online.read_histories(["ada"])
    assert "secret" not in str(refused.value)


def test_a_full_history_stays_small_in_memory(online: OnlineFeatures) -> None:
    online.write_records({"full": records(*range(50))})
    (key,) = link(online).client.keys("*full*")  # type: ignore[misc]
    assert link(online).client.object("encoding", key) == b"listpack"


def test_a_cluster_is_told_by_its_url(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--cluster-enabled", "yes") as server:
        address = f"127.0.0.1:{server.port}"
        plain = OnlineFeatures(FeatureSettings(home=tmp_path / "a", online_url=server.url))
        link(plain).client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        url = f"redis+cluster://{address},{address}?socket_timeout=10"
        online = OnlineFeatures(FeatureSettings(home=tmp_path / "b", online_url=url))
        server.wait_for("Cluster state changed: ok")
        assert not online.is_whole("log")
        keys = [f"customer-{number}" for number in range(40)]
        online.write_records({key: records(2, 1) for key in keys})
        assert online.merge_records({key: records(2, 3) for key in keys}) == dict.fromkeys(keys, 1)
        online.mark_whole("log")
        reading = online.read(keys, log_id="log")
        assert (reading.histories, reading.whole) == ([records(1, 2, 3)] * 40, True)
        online.erase(keys, 3)
        online.write_joins({"customer-1": "ada"})
        assert online.merge_records({"customer-1": records(3, 4)}) == {"customer-1": 1}
        assert online.read_known(["customer-1"])[0].joined_to == "ada"
        online.note_applied("stream", [1, 3])
        assert (online.applied_position("stream"), online.missing("stream", 4, 9)) == (1, [2, 4])
