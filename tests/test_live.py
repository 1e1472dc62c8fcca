"""Live features through Feast: merged on write, visible at once, and rebuilt when lost."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.history.draining import drain
from features.history.partitions import count, write_part
from features.item import Item
from features.live import LiveFeatures
from features.online.materialization import materialize
from features.record import RECORD, merge, pack, unpack
from features.settings import FeatureSettings, Home
from tests.interactions import START, interaction, table_of


@pytest.fixture
def settings(tmp_path: Path) -> FeatureSettings:
    return FeatureSettings(home=tmp_path, max_records=5)


def expected(live: LiveFeatures, numbers: range, **changes: object) -> bytes:
    records = [pack(interaction(n, **changes), live.vocabulary) for n in numbers]
    return merge(b"", b"".join(records), max_records=5)


def test_what_is_applied_is_read(settings: FeatureSettings) -> None:
    with LiveFeatures(settings) as live:
        assert live.read(["ada"]).histories == [b""]
        live.log([[interaction(1)], [interaction(2, customer_id=None, anonymous_id="x")]])
        assert live.staleness_s() > 0
        assert live.apply()
        assert live.staleness_s() == 0
        assert live.read(["ada", "nobody", "anonymous:x", "ada"]).histories == [
            pack(interaction(1), live.vocabulary),
            b"",
            pack(interaction(2, customer_id=None, anonymous_id="x"), live.vocabulary),
            pack(interaction(1), live.vocabulary),
        ]
        assert live.read([]).histories == []


def test_late_and_repeated_interactions_end_alike(settings: FeatureSettings) -> None:
    with LiveFeatures(settings) as live:
        for number in (7, 3, 9, 1, 4, 8, 3, 7, 2, 5, 6, 0):
            live.log([[interaction(number)]])
            live.apply()
        assert live.read(["ada"]).histories == [expected(live, range(5, 10))]


def test_a_restart_applies_what_was_logged_only(settings: FeatureSettings) -> None:
    with LiveFeatures(settings) as live:
        live.log([[interaction(1)]])  # and then the process dies
    with LiveFeatures(settings) as live:
        assert live.read(["ada"]).histories == [pack(interaction(1), live.vocabulary)]


def test_a_lost_online_store_is_rebuilt_from_the_log(settings: FeatureSettings) -> None:
    with LiveFeatures(settings) as live:
        live.log([[interaction(n) for n in range(9)]])
        live.upsert_items([Item(item_id="i1", name="One")])
        live.apply()
    for file in settings.home.glob("online.db*"):
        file.unlink()
    with LiveFeatures(settings) as live:
        assert live.read(["ada"]).histories == [expected(live, range(4, 9))]
        assert live.get_item("i1") == Item(item_id="i1", name="One")


def test_the_catalog_is_read_as_it_was_written(settings: FeatureSettings) -> None:
    mug = Item(item_id="mug", name="Mug", price=4.0, currency="EUR", tags=("a", "b"))
    with LiveFeatures(settings) as live:
        live.upsert_items([mug, Item(item_id="bare")])
        live.apply()
        assert live.get_item("mug") == mug
        assert live.get_item("bare") == Item(item_id="bare")
        assert live.get_item("never") is None
        assert live.delete_items(["mug", "never"]) == ["mug"]
        live.apply()
        assert live.get_item("mug") is None


WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from features.live import LiveFeatures
from features.settings import FeatureSettings
from tests.interactions import interaction
with LiveFeatures(FeatureSettings(home=Path(sys.argv[1]), max_records=200)) as live:
    for number in range(int(sys.argv[2]), 150, 3):
        live.log([[interaction(number)]])
        live.apply()
"""


def test_three_processes_lose_no_write(tmp_path: Path) -> None:
    settings = FeatureSettings(home=tmp_path, max_records=200)
    LiveFeatures(settings).close()
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*command, str(first)]) for first in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    with LiveFeatures(settings) as live:
        records = np.frombuffer(live.read(["ada"]).histories[0], RECORD)
    assert len(records) == 150
    assert (np.diff(unpack(records).tick) == 256).all()  # one a second, in order


def test_the_history_fills_the_online_store(settings: FeatureSettings) -> None:
    home = Home(settings.home)
    rows = [interaction(n) for n in range(8)]
    rows += [interaction(n, customer_id="bob", interaction_id=f"b{n}") for n in range(3)]
    write_part(home.history, table_of(rows), part="a")
    done = materialize(settings)
    assert (done.interaction_count, done.item_count) == (8, 0)  # ada's newest 5, bob's 3
    materialize(settings)  # twice is once
    with LiveFeatures(settings) as live:
        assert live.read(["ada", "bob"]).histories == [
            expected(live, range(3, 8)),
            b"".join(pack(row, live.vocabulary) for row in rows[8:]),
        ]


def test_what_shares_a_tick_is_kept_alike_live_and_rebuilt(settings: FeatureSettings) -> None:
    rows = [interaction(n, event_time=START, interaction_id=f"x{n}") for n in range(9)]
    with LiveFeatures(settings) as live:
        live.log([rows])
        live.apply()
        (applied,) = live.read(["ada"]).histories
    other = replace(settings, home=settings.home / "other")
    write_part(Home(other.home).history, table_of(rows), part="a")
    materialize(other)
    with LiveFeatures(other) as live:
        assert live.read(["ada"]).histories == [applied]


def test_the_log_drains_into_the_history_once(settings: FeatureSettings) -> None:
    home = Home(settings.home)
    with LiveFeatures(settings) as live:
        live.log([[interaction(n) for n in range(4)]])
        live.upsert_items([Item(item_id="i1", name="One"), Item(item_id="i2")])
        live.delete_items(["i2"])
        assert drain(settings) == 4
        assert drain(settings) == 0
        live.log([[interaction(0), interaction(4)]])
        assert drain(settings) == 1
    assert count(home.history) == 5


def test_a_drain_that_was_cut_off_writes_its_part_again(settings: FeatureSettings) -> None:
    home = Home(settings.home)
    with LiveFeatures(settings) as live:
        live.log([[interaction(n) for n in range(4)]])
        drain(settings)
        live._log._database.execute("DELETE FROM drained")  # the part was written, not the note
        live.log([[interaction(86_400)]])
        drain(settings)
    assert count(home.history) == 5
