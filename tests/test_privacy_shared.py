"""Erasure and retention where the log is NATS and what is online is in Redis."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner

from features.history.draining import drain
from features.live import LiveFeatures
from features.privacy.aging import Aging, records_of, value_of
from features.privacy.commands import erase_command, retain_command
from features.record import RECORD_BYTES, pack, tick
from features.settings import FeatureSettings
from features.vocabulary import load_vocabulary
from tests.interactions import START, interaction
from tests.nats_server import NatsServer
from tests.redis_server import RedisServer
from tests.test_erasure import traces

ERASED = "ada-4711"
PHONE = f"{ERASED}-phone"
VOCABULARY = load_vocabulary()
AGING = Aging({1: tick(START + timedelta(seconds=3))}, tick(START))  # 1: views


@pytest.fixture(params=["embedded", "shared"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FeatureSettings]:
    """Both ways of keeping log and online store; a shared one has its files in the home."""
    home = tmp_path / "home"
    home.mkdir()
    if request.param == "embedded":
        yield FeatureSettings(home=home)
        return
    with NatsServer(home / "nats") as nats, RedisServer(home) as server:
        yield FeatureSettings(home=home, log_url=nats.url, online_url=server.url)


def in_redis(settings: FeatureSettings, text: str) -> int:
    """How many keys hold a text, in their name or in what they hold."""
    if not settings.online_url:
        return 0
    with redis.Redis.from_url(settings.online_url) as client:
        dumps = [key + (client.dump(key) or b"") for key in client.keys("*")]
    return sum(text.encode() in each for each in dumps)


def command(settings: FeatureSettings, name: str, *arguments: str) -> str:
    """What a command prints."""
    places = [
        f"--{each}={getattr(settings, each.replace('-', '_'))}" for each in ("home", "log-url")
    ]
    online = f"--online-url={settings.online_url}"
    called = {"erase": erase_command, "retain": retain_command}[name]
    return CliRunner().invoke(called, [*arguments, *places, online], catch_exceptions=False).output


def test_nothing_is_left_of_an_erased_customer(settings: FeatureSettings) -> None:
    device = {"customer_id": None, "anonymous_id": PHONE}
    with LiveFeatures(settings) as live:
        live.log([[interaction(n, customer_id=ERASED if n % 2 else "bob") for n in range(10)]])
        live.log([[interaction(20, **device)]])
        live.log([[interaction(21, customer_id=ERASED, anonymous_id=PHONE, type="identify")]])
        live.apply()
        drain(settings)
        assert len(live.read([ERASED]).histories[0]) == 7 * RECORD_BYTES
        receipt = json.loads(command(settings, "erase", ERASED, "--json"))
        assert receipt["anonymous_id_count"] == 1
        # On-line the phone's is held twice: as the phone's, and as the customer's.
        assert (receipt["removed"]["online store"], receipt["removed"]["history"]) == (8, 7)
        assert receipt["removed"]["log"] == 7
        live.learn_erasures()
        live.sweep()
        assert live.read([ERASED, f"anonymous:{PHONE}"]).histories == [b"", b""]
        assert len(live.read(["bob"]).histories[0]) == 5 * RECORD_BYTES
        if settings.online_url:
            assert "2 online tombstones with ids" in receipt["remaining"][-1]
        assert live.online.drop_tombstones(tick(datetime.now(UTC)) + 1) == 0
        live.log([[interaction(1, customer_id=ERASED)]])  # past the door of another process
        live.apply()
        assert live.read([ERASED]).histories == [b""]
        command(settings, "erase", "--pending")
        assert drain(settings) == 0
        logged = [each.interaction for each in live._log.read(after=0, limit=99)]
        assert {each.customer_id for each in logged} == {"bob"}
    assert traces(settings.home, ERASED) == []
    assert in_redis(settings, ERASED) == 0
    assert in_redis(settings, "bob") == bool(settings.online_url)


def test_records_past_their_time_leave_the_online_store(settings: FeatureSettings) -> None:
    rows = [interaction(n) for n in range(6)]
    rows.append(interaction(0, customer_id="bob", interaction_id="b"))
    rows.append(interaction(0, customer_id="eve", interaction_id="e", type="purchase"))
    with LiveFeatures(settings) as live:
        live.log([rows])
        live.apply()
        seen: list[int] = []
        assert live.online.drop_older(AGING, progress=seen.append) == 4
        ada, bob, eve = live.read(["ada", "bob", "eve"]).histories
        assert ada == b"".join(pack(each, VOCABULARY) for each in rows[3:6])
        assert (bob, eve) == (b"", pack(rows[-1], VOCABULARY))
        assert live.online.drop_older(AGING, progress=seen.append) == 0


def test_the_command_enforces_retention_everywhere(settings: FeatureSettings) -> None:
    with LiveFeatures(settings) as live:
        live.log([[interaction(n, type=name) for n, name in enumerate(["view", "purchase"] * 3)]])
        live.apply()
        drain(settings)
        printed = command(settings, "retain", "--now=2029-01-01").splitlines()
        assert printed[0] == "Removed what was past its time at 2029-01-01 00:00 UTC"
        counts = {line[:40].strip(): int(line[40:]) for line in printed[1:]}
        expected = {"log": 3, "history": 3, "online store": 3}
        assert {place: count for place, count in counts.items() if count} == expected
        assert len(live.read(["ada"]).histories[0]) == 3 * RECORD_BYTES
        assert sum(int(each) for each in [line[40:] for line in printed[1:]]) == 9


def test_a_value_is_opened_and_closed() -> None:
    for size in (0, 16, 112, 128, 1600, 32_000):
        assert records_of(value_of(b"r" * size)) == b"r" * size
    assert records_of(b"") == b""
