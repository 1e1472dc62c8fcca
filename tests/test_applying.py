"""Applied at least once, on every pair of log and online store; rebuilt when lost."""

import logging
from pathlib import Path

import pytest

from features.history.draining import drain
from features.interaction import Interaction
from features.item import Item
from features.live import LiveFeatures
from features.log.contract import Appended, open_log
from features.online.contract import OnlineError
from features.online.materialization import materialize
from features.record import merge, pack
from features.settings import FeatureSettings
from features.vocabulary import load_vocabulary
from tests.interactions import interaction
from tests.nats_server import NatsServer
from tests.redis_server import RedisServer

VOCABULARY = load_vocabulary()


@pytest.fixture(params=["sqlite-sqlite", "sqlite-redis", "nats-sqlite", "nats-redis"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> FeatureSettings:
    """A log and an online store, both empty."""
    log, online = request.param.split("-")
    log_url = request.getfixturevalue("nats").url if log == "nats" else ""
    online_url = request.getfixturevalue("redis").url if online == "redis" else ""
    home = tmp_path / "home"
    return FeatureSettings(home=home, max_records=5, log_url=log_url, online_url=online_url)


def expected(numbers: range) -> bytes:
    records = [pack(interaction(n), VOCABULARY) for n in numbers]
    return merge(b"", b"".join(records), max_records=5)


def sweep(live: LiveFeatures) -> None:
    """Two sweeps: what is found missing in one is given time until the next."""
    for _ in range(2):
        while live.sweep():
            pass


def record(live: LiveFeatures, *interactions: Interaction) -> list[Appended]:
    """As serving does it."""
    appended = live.log(live.without_held([interactions]))
    assert live.apply()
    return appended


def test_what_is_recorded_is_read_and_a_repeat_changes_nothing(settings: FeatureSettings) -> None:
    with LiveFeatures(settings) as live:
        assert live.read(["ada"]).whole
        assert record(live, interaction(1), interaction(2)) == [Appended(2, 0)]
        (again,) = record(live, interaction(2), interaction(3))
        assert again.accepted_count == 1
        assert live.read(["ada", "nobody"]).histories == [expected(range(1, 4)), b""]
        assert live.staleness_s() == 0
    with open_log(settings) as log:
        ids = [each.interaction.interaction_id for each in log.read(after=0, limit=9)]
    assert ids == ["1", "2", "3"]


def test_what_a_dead_process_left_behind_is_applied_by_another(settings: FeatureSettings) -> None:
    with LiveFeatures(settings) as live, LiveFeatures(settings) as other:
        other.log([[interaction(1)]])  # and then it dies
        other.upsert_items([Item(item_id="i1", name="One")])
        record(live, interaction(2))
        sweep(live)
        assert live.read(["ada"]).histories == [expected(range(1, 3))]
        assert live.get_item("i1") == Item(item_id="i1", name="One")
        changes = live.changed_items(after=0, limit=9)
        assert [each.item for each in changes] == [Item(item_id="i1", name="One")]
        other.delete_items(["i1"])
        sweep(live)
        assert live.get_item("i1") is None


def test_the_next_start_applies_what_was_left_behind(settings: FeatureSettings) -> None:
    with LiveFeatures(settings) as live:
        live.log([[interaction(1)]])
    with LiveFeatures(settings) as live:
        assert live.read(["ada"]).histories == [expected(range(1, 2))]


def lose(settings: FeatureSettings, request: pytest.FixtureRequest) -> None:
    """The online store is empty again."""
    if settings.online_url:
        server = request.getfixturevalue("redis")
        server.kill()
        server.start()
    for file in settings.home.glob("online.db*"):
        file.unlink()


def test_a_lost_store_says_so_and_is_rebuilt(
    settings: FeatureSettings, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    with LiveFeatures(settings) as live:
        for n in range(9):
            record(live, interaction(n))
        live.upsert_items([Item(item_id="i1", name="One")])
        live.apply()
    drain(settings)  # from now on the log alone does not suffice
    lose(settings, request)
    with LiveFeatures(settings) as live, caplog.at_level(logging.WARNING):
        assert not live.read(["ada"]).whole
        told: list[int] = []
        done = materialize(settings, whole_log=True, progress=told.append)
        assert done.interaction_count == sum(told) == 5 + 9  # history's newest, and the log
        assert done.item_count == 1
        reading = live.read(["ada"])
        assert (reading.whole, reading.histories) == (True, [expected(range(4, 9))])
        assert live.get_item("i1") == Item(item_id="i1", name="One")
        LiveFeatures(settings).close()
    assert caplog.text.count("run python -m features rebuild") == 1


def test_a_store_lost_under_a_server_is_filled_again_where_the_log_suffices(
    nats: NatsServer, redis: RedisServer, tmp_path: Path
) -> None:
    settings = FeatureSettings(home=tmp_path, log_url=nats.url, online_url=redis.url)
    with LiveFeatures(settings) as live:
        for n in range(150):
            record(live, interaction(0, customer_id=f"c{n}"))
        redis.kill()
        redis.start()
        sweep_until_it_answers(live)
        reading = live.read(["c0", "c149"])
        assert reading.whole
        assert reading.histories == [pack(interaction(0), VOCABULARY)] * 2


def sweep_until_it_answers(live: LiveFeatures) -> None:
    """Its circuit breaker opens for a while after an outage."""
    while True:
        try:
            return sweep(live)
        except OnlineError:
            continue


@pytest.mark.parametrize("log_kind", ["sqlite", "nats"])
def test_what_is_logged_while_the_store_is_away_counts_when_it_is_back(
    log_kind: str, redis: RedisServer, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    log_url = request.getfixturevalue("nats").url if log_kind == "nats" else ""
    settings = FeatureSettings(
        home=tmp_path, max_records=5, log_url=log_url, online_url=redis.plain_url
    )
    with LiveFeatures(settings) as live:
        record(live, interaction(1))
        redis.pause()
        live.log([[interaction(2)]])
        with pytest.raises(OnlineError):
            live.apply()
        with pytest.raises(OnlineError):
            live.read(["ada"])
        assert live.staleness_s() > 0
        redis.resume()
        sweep_until_it_answers(live)
        assert live.read(["ada"]).histories == [expected(range(1, 3))]
        assert live.staleness_s() == 0
