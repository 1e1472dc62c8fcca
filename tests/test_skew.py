"""Skew: an honest server shows none, a planted difference is found, late arrivals are none."""

import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from google.protobuf.timestamp_pb2 import Timestamp

from features.__main__ import main
from features.history.draining import drain
from features.measures.customers import Measures
from features.measures.samples import (
    Sample,
    SampleLog,
    customers_in,
    forget,
    forget_before,
    read_samples,
)
from features.measures.skew import FeatureSkew, check_skew, compare, stability
from features.record import RECORD_BYTES, TICKS_PER_SECOND, merge, pack, tick
from features.settings import FeatureSettings, Home
from features.vocabulary import load_vocabulary
from tests.artefacts import publish, write_artefact
from tests.interactions import START, interaction
from tests.nats_server import NatsServer
from tests.redis_server import RedisServer
from tests.running import Running, add_items, decide, record, viewed

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
MEASURES = Measures(load_vocabulary(), 5)
SEEN = ("since_type_view", "since_type_purchase")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    add_items(tmp_path / "home")
    publish(Home(tmp_path / "home"), write_artefact(tmp_path / "artefact"))
    return tmp_path / "home"


def settings_of(home: Path) -> FeatureSettings:
    return FeatureSettings(home=home, max_records=5)


def serving(home: Path, **settings: Any) -> Running:
    """A server that logs every decision."""
    patient = {"assumed_consent": "personalization,measurement", "read_ms": 10_000.0}
    return Running(home, **({"log_share": 1.0, "max_records": 5} | patient | settings))


def differing(found: list[FeatureSkew]) -> set[str]:
    return {each.feature for each in found if each.equal < each.compared}


def live_through(server: Running) -> None:
    """Ten decisions about three customers, with late and repeated interactions between them."""
    late = viewed("ada", "dates", event_time=Timestamp(seconds=1767225000))
    bought = viewed("bob", "eggs", type="purchase", channel="store")
    record(server, *(viewed("ada", "eggs") for _ in range(3)), viewed("bob", "flour"))
    for _ in range(2):
        decide(server, "ada")
        decide(server, "bob", interactions=[viewed("bob", "bread")])
        decide(server, "nobody")
        record(server, late, bought)
        decide(server, "ada", interactions=[viewed("ada", "apple")])
        decide(server, "bob")


def check(home: Path) -> list[FeatureSkew]:
    """All decisions, to the tick: here each call waits for the one before."""
    return check_skew(settings_of(home), since=LONG_AGO, grace_s=1 / TICKS_PER_SECOND)


@pytest.fixture
def lived(home: Path) -> Path:
    with serving(home) as server:
        live_through(server)
    return home


def test_an_honest_run_shows_no_skew(lived: Path) -> None:
    found = check(lived)
    assert [(each.compared, each.equal) for each in found] == [(10, 10)] * (1 + len(MEASURES.names))
    assert all(each.largest == each.stability == 0 for each in found)
    assert drain(settings_of(lived)) == 10
    assert differing(check(lived)) == set()
    said = CliRunner().invoke(main, ["skew", "--home", str(lived), "--max-records", "5"])
    assert (said.exit_code, said.output.splitlines()[-1]) == (0, "  0 of 110 features differ")


def test_an_honest_run_with_redis_and_nats_shows_no_skew(home: Path, tmp_path: Path) -> None:
    with NatsServer(tmp_path / "nats") as nats, RedisServer(tmp_path) as redis:
        grown_up: dict[str, Any] = {"log_url": nats.url, "online_url": redis.url}
        with serving(home, **grown_up) as server:
            live_through(server)
        settings = FeatureSettings(home=home, max_records=5, **grown_up)
        found = check_skew(settings, since=LONG_AGO)
        assert (found[0].compared, differing(found)) == (10, set())
        assert drain(settings) == 10
        assert differing(check_skew(settings, since=LONG_AGO)) == set()
        change(home, "records", lambda old: old + pack(interaction(1), load_vocabulary()))
        assert differing(check_skew(settings, since=LONG_AGO)) == {"records"}


def test_a_wrong_measure_is_found(lived: Path) -> None:
    change(lived, "measures", shifted)
    found = {each.feature: each for each in check(lived)}
    assert set(found) - differing(check(lived)) == {"records"} | {
        name for name in MEASURES.names if name.startswith("since_") and name not in SEEN
    }
    assert (found["held"].equal, found["held"].largest) == (9, 0.5)
    assert found["held"].share_differing == 0.1
    said = CliRunner().invoke(main, ["skew", "--home", str(lived), "--max-records", "5"])
    assert said.exit_code == 1
    assert any(line.startswith("held ") for line in said.output.splitlines())


def test_a_record_that_no_decision_should_have_missed_is_found(lived: Path) -> None:
    change(lived, "records", lambda old: old[RECORD_BYTES:])
    assert differing(check(lived)) == {"records"}  # the measures stand as they were logged
    assert check(lived)[0].largest == 1


def test_a_record_that_nobody_could_know_of_is_found(lived: Path) -> None:
    strange = pack(interaction(1, customer_id="bob"), load_vocabulary())
    change(lived, "records", lambda old: merge(old, strange, max_records=6))
    assert check(lived)[0].equal == 9


def shifted(measures: bytes) -> bytes:
    return zlib.compress(np.frombuffer(zlib.decompress(measures)) + 0.5)


def change(home: Path, column: str, changed: Callable[[bytes], bytes]) -> None:
    """Changes one column of what was logged of the last decision about bob."""
    with closing(sqlite3.connect(Home(home).samples)) as database, database:
        query = f"SELECT decision_id, {column} FROM decisions WHERE customer_key = 'bob'"
        decision_id, old = database.execute(f"{query} ORDER BY tick DESC").fetchone()
        query = f"UPDATE decisions SET {column} = ? WHERE decision_id = ?"
        database.execute(query, (changed(old), decision_id))


def test_what_came_too_late_was_not_known(home: Path) -> None:
    with serving(home) as server:
        record(server, viewed("ada", "eggs"))
        decide(server, "ada")
        record(server, viewed("ada", "dates", event_time=Timestamp(seconds=1767225000)))
    (seen,) = read_samples(Home(home), since=LONG_AGO)
    assert seen.measures["held"] == 1
    drain(settings_of(home))
    assert differing(check(home)) == set()


def test_nothing_is_logged_of_whom_may_not_be_measured(home: Path) -> None:
    with serving(home, assumed_consent="personalization") as server:
        record(server, viewed("ada", "eggs"))
        decide(server, "ada")
    assert read_samples(Home(home), since=LONG_AGO) == []


def test_a_device_counts_from_when_it_was_joined(home: Path) -> None:
    with serving(home) as server:
        record(server, viewed("", "eggs", anonymous_id="phone"), viewed("ada", "dates"))
        decide(server, "ada")
        record(server, viewed("ada", "", anonymous_id="phone", type="identify"))
        decide(server, "ada")
    before, after = read_samples(Home(home), since=LONG_AGO)
    assert (before.measures["held"], after.measures["held"]) == (1, 3)
    assert differing(check(home)) == set()
    drain(settings_of(home))
    assert differing(check(home)) == set()


def test_the_share_is_taken_and_none_by_none(tmp_path: Path) -> None:
    for share, expected in ((0.0, 0), (0.5, 8), (1.0, 16)):
        home = Home(tmp_path / str(share))
        log = SampleLog(home.samples, MEASURES, share=share)
        home.path.mkdir()
        for number in range(16):
            log.offer(sample("0" * 24 + f"{number:x}" + "0" * 7))
        log.close()
        assert (log.written_count, log.dropped_count) == (expected, 0)
        assert len(read_samples(home, since=LONG_AGO)) == expected


def test_what_cannot_be_kept_is_dropped_and_counted(tmp_path: Path) -> None:
    log = SampleLog(tmp_path / "absent" / "samples.db", MEASURES, share=1.0)
    log.offer(sample("0" * 32))
    log.close()
    assert (log.written_count, log.dropped_count) == (0, 1)
    for number in range(3):  # nobody takes them out any more
        log.offer(sample(f"{number:032x}"))
    assert log.dropped_count == 1
    full = SampleLog(tmp_path / "samples.db", MEASURES, share=1.0, max_waiting=1)
    full.close()
    for number in range(3):
        full.offer(sample(f"{number:032x}"))
    assert (full.written_count, full.dropped_count) == (0, 2)


def sample(decision_id: str, customer_key: str = "ada-of-the-shop", number: int = 0) -> Sample:
    records = pack(interaction(0), load_vocabulary())
    return Sample(decision_id, customer_key, tick(START) + number, 0.0, records)


def test_the_forgotten_leave_nothing_and_do_not_come_back(tmp_path: Path) -> None:
    home, (ada, bob) = Home(tmp_path), ("ada-of-the-shop", "bob-of-the-shop")
    assert forget(home, [ada], up_to=START) == 0
    assert customers_in(home) == []
    write(home, *(sample(f"{n:032x}", (ada, bob)[n % 2]) for n in range(4)))
    assert sorted(customers_in(home)) == [ada, bob]
    assert forget(home, [ada, "nobody"], up_to=START) == 2
    write(home, sample(f"{5:032x}"), sample(f"{6:032x}", number=256))
    kept = [each.sample for each in read_samples(home, since=LONG_AGO)]
    assert [each.customer_key for each in kept] == [bob, bob, ada]
    assert kept[2].tick == tick(START) + 256  # of a new customer by the old name
    assert forget(home, [ada], up_to=START) == 0
    assert forget(home, [ada], up_to=START + timedelta(days=1)) == 1
    assert ada.encode() not in home.samples.read_bytes()
    assert forget_before(home, START) == 0
    assert forget_before(home, START + timedelta(days=1)) == 2


def write(home: Home, *samples: Sample) -> None:
    log = SampleLog(home.samples, MEASURES, share=1.0)
    for each in samples:
        log.offer(each)
    log.close()


def test_differences_are_counted_measured_and_weighed() -> None:
    known = np.array([1.0, 2.0, np.inf, 4e9])
    same = compare("x", known * (1 + 1e-12), known)
    assert (same.compared, same.equal, same.largest) == (4, 4, pytest.approx(0.004, rel=1e-3))
    other = compare("x", np.array([1.0, 2.5, 3.0, np.inf]), known)
    assert (other.equal, other.largest, other.share_differing) == (1, np.inf, 0.75)
    assert compare("x", np.array([]), np.array([])).equal == 0


def test_stability_by_hand() -> None:
    known, seen = np.array([0.0] * 5 + [1.0] * 5), np.array([0.0] * 8 + [1.0] * 2)
    assert stability(known, known) == 0
    expected = (0.8 - 0.5) * np.log(0.8 / 0.5) + (0.2 - 0.5) * np.log(0.2 / 0.5)
    assert stability(seen, known) == pytest.approx(expected)
