"""Simulating: the same scenario gives the same history, and what cannot be is refused."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from features.catalog_parts import read_items
from features.history.partitions import count
from features.settings import Home
from features.simulation.contacts import Contacts, contactable, moments
from features.simulation.simulate import SimulationError, live, make_world, simulate
from features.simulation.world import DAY, World
from features.vocabulary import Vocabulary
from tests.worlds import SMALL, VOCABULARY, whole


def test_the_same_scenario_gives_the_same_history(tmp_path: Path) -> None:
    homes = [Home(tmp_path / name) for name in ("one", "two", "other")]
    for home, seed in zip(homes, (1, 1, 2), strict=True):
        simulate(replace(SMALL, seed=seed), home, vocabulary=VOCABULARY)
    one, two, other = map(whole, homes)
    assert one.equals(two)
    assert read_items(homes[0]).equals(read_items(homes[1]))
    assert not one.equals(other)


def test_the_same_simulation_done_again_changes_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path)
    done = simulate(SMALL, home, vocabulary=VOCABULARY)
    before = whole(home)
    simulate(SMALL, home, vocabulary=VOCABULARY)
    assert whole(home).equals(before)
    assert count(home.history) == done.written == sum(done.types.values())


def test_a_simulation_that_was_cut_off_is_done_again(tmp_path: Path) -> None:
    def stop(days: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(SMALL, Home(tmp_path / "cut"), vocabulary=VOCABULARY, progress=stop)
    for name in ("cut", "whole"):
        simulate(SMALL, Home(tmp_path / name), vocabulary=VOCABULARY)
    assert whole(Home(tmp_path / "cut")).equals(whole(Home(tmp_path / "whole")))


def test_another_simulation_needs_another_home(tmp_path: Path) -> None:
    simulate(SMALL, Home(tmp_path), vocabulary=VOCABULARY)
    with pytest.raises(SimulationError, match="another simulation"):
        simulate(replace(SMALL, seed=2), Home(tmp_path), vocabulary=VOCABULARY)


def test_what_cannot_be_simulated_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match="before the year 2000"):
        simulate(replace(SMALL, days=10_000), Home(tmp_path), vocabulary=VOCABULARY)
    types = {name: each for name, each in VOCABULARY.types.items() if name != "delay"}
    with pytest.raises(SimulationError, match="'delay' of the COMPANY"):
        simulate(SMALL, Home(tmp_path), vocabulary=Vocabulary(types, VOCABULARY.channels))
    assert not Home(tmp_path).history.exists()


def test_the_command_prints_figures_and_refuses_nonsense(tmp_path: Path) -> None:
    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        start = [sys.executable, "-m", "features", "simulate", "--home", str(tmp_path), "--days=5"]
        return subprocess.run([*start, *arguments], capture_output=True, text=True, check=False)

    done = command("--customers=20", "--items=80", "--until=2026-11-22")
    assert done.returncode == 0
    assert "  first day                   2026-11-17\n" in done.stdout
    assert "  interactions a second" in done.stdout
    refused = command("--items=79")
    assert refused.returncode == 2
    assert "79 is not in the range 80<=x<=1000000" in refused.stderr


def test_the_world_goes_on_as_it_always_did(tmp_path: Path) -> None:
    assert simulate(SMALL, Home(tmp_path), vocabulary=VOCABULARY).types == {
        "view": 363,
        "search": 69,
        "favorite": 6,
        "cart-add": 22,
        "purchase": 16,
        "return": 0,
        "rating": 4,
        "service-request": 0,
        "complaint": 0,
        "dismissal": 1,
        "opt-out": 0,
        "impression": 105,
        "message": 84,
        "delivery": 14,
        "delay": 0,
        "service-reply": 0,
    }


def test_contacts_can_be_chosen(tmp_path: Path) -> None:
    midnight = int(SMALL.start.timestamp()) * 1_000_000

    def first_alone(world: World, day: int, midnight: int) -> Contacts:
        may_be = np.flatnonzero(contactable(world, day))[:1]
        return Contacts(moments(world, may_be, midnight), np.array([5]))

    world = make_world(SMALL, Home(tmp_path))
    live(world, 0, midnight, first_alone)
    told = world.ledger.take(before=midnight + DAY)
    messages = told.filter(pc.equal(told["type"], "message"))
    assert messages["customer_id"].to_pylist() == ["customer-000001"]
    assert messages["item_id"].to_pylist() == [world.catalog.item_ids[5].as_py()]
    assert world.ledger.take(before=midnight + DAY).num_rows == 0
