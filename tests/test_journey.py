"""The whole journey, each program a process of its own, as the README tells it."""

from pathlib import Path

import pytest

from benchmarks.composed import ProgramError, run_program, serving
from benchmarks.frontend import Frontend
from benchmarks.story import customers
from features.history.partitions import count
from features.settings import Home

SIMULATION = ("--customers", "200", "--days", "40", "--seed", "3", "--until", "2026-11-01")
SMALL = ("--epochs", "1", "--width", "16", "--max-length", "20", "--examples", "500")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with history, a champion and filled features."""
    path = tmp_path_factory.mktemp("journey")
    run_program("features", "simulate", *SIMULATION, "--home", path)
    run_program("training", "train", *SMALL, "--home", path)
    run_program("features", "materialize", "--home", path)
    return Home(path)


def test_what_is_done_in_one_channel_changes_the_answer_in_another(home: Home) -> None:
    customer = customers(home, most=1)[0]
    with serving(home.path) as address:
        frontend = Frontend(address)
        before = frontend.ask(customer, "web", k=5)
        item_id = before.candidates[-1].item_id
        frontend.record(customer, "store", ["view", "cart-add"], item_id)
        after = frontend.ask(customer, "app", k=5)
        held = frontend.held(customer)
        frontend.close()
    assert [each.type for each in held[:2]] == ["cart-add", "view"]
    assert held[0].item_id == item_id
    assert after.freshness.newest_event_time.ToMilliseconds() == (
        held[0].event_time.ToMilliseconds()
    )
    assert [(each.item_id, each.score) for each in after.candidates] != [
        (each.item_id, each.score) for each in before.candidates
    ]


def test_a_restart_loses_nothing_and_training_sees_what_was_recorded(home: Home) -> None:
    with serving(home.path) as address:
        frontend = Frontend(address)
        frontend.record("newcomer", "web", ["view"], "item-000001")
        frontend.close()
    with serving(home.path) as address:
        frontend = Frontend(address)
        held = frontend.held("newcomer")
        frontend.close()
    assert [(each.type, each.channel, each.item_id) for each in held] == [
        ("view", "web", "item-000001")
    ]
    before = count(home.history)
    run_program("features", "drain", "--home", home.path)
    assert count(home.history) >= before + 1


def test_a_program_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="does not exist"):
        run_program("features", "import", tmp_path / "nothing.csv", "--home", tmp_path)
