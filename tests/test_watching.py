"""The watch: each trigger fires on data in which it should, and does not where it should not."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from features.history.partitions import write_part
from features.interaction import Interaction
from features.settings import FeatureSettings, Home
from tests.artefacts import ITEM_IDS, write_artefact
from tests.interactions import START, interaction, table_of
from training.publishing import Publisher
from training.settings import WatchSettings
from training.watching.distributions import distributions
from training.watching.drift import stability
from training.watching.intents import Intents
from training.watching.triggers import Trigger, calibration, drift, schedule, volume
from training.watching.watching import keep_reference, watch

SETTINGS = WatchSettings()
THEN, SNAPSHOT = START, START + timedelta(days=20)
Change = Callable[[int], dict[str, object]]


def acts(count: int, since: datetime, change: Change = lambda _: {}) -> list[Interaction]:
    """Interactions of 20 customers over 20 days, of which each may be changed."""
    rng = np.random.default_rng(1)
    return [
        interaction(
            number,
            **{
                "interaction_id": f"{since:%j}-{number}",
                "customer_id": f"c{rng.integers(20)}",
                "item_id": str(rng.choice(ITEM_IDS)),
                "type": "purchase" if rng.random() < 0.2 else "view",
                "event_time": since + timedelta(days=20 * number / count),
            }
            | change(number),
        )
        for number in range(count)
    ]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """400 interactions over 20 days, and a champion that was judged on them."""
    home = Home(tmp_path / "home")
    write_part(home.history, table_of(acts(400, THEN)), part="then")
    artefact, kept = write_artefact(tmp_path / "artefact"), tmp_path / "kept"
    kept.mkdir()
    until = START + timedelta(days=20 * 399 / 400)
    keep_reference(home, artefact, kept, since=START, until=until)
    publisher = Publisher(home)
    run_id = publisher.begin("run", {})
    tags = {"lineage.newest_time": until.isoformat()}
    publisher.crown(publisher.publish(run_id, artefact, kept, tags))
    return home


def drifted(home: Home, change: Change = lambda _: {}) -> dict[str, float]:
    """The drift of each feature, once 400 more have come."""
    write_part(home.history, table_of(acts(400, SNAPSHOT, change)), part="now")
    publisher = Publisher(home)
    champion = publisher.champion()
    assert champion is not None
    then = json.loads((publisher.kept(champion.version) / "reference.json").read_text())
    until = SNAPSHOT + timedelta(days=30)
    now = distributions(home, champion.directory, since=SNAPSHOT, before=until)
    triggers = drift(then, now, SETTINGS)
    return {each.name.removeprefix("drift of "): each.value for each in triggers if each.fired}


# ---- Drift -------------------------------------------------------------------------------------


def test_the_same_world_does_not_drift(home: Home) -> None:
    assert drifted(home) == {}


CHANGES: dict[str, Change] = {
    "type": lambda number: {"type": "purchase" if number % 10 < 7 else "view"},
    "channel": lambda number: {"channel": "app" if number % 2 else "web"},
    "popularity": lambda number: {"item_id": f"new{number}"} if number % 2 else {},
    "amount": lambda number: {"amount": 10.0, "currency": "EUR"} if number % 2 else {},
}


@pytest.mark.parametrize("feature", CHANGES)
def test_a_feature_that_moved_drifts_and_no_other(home: Home, feature: str) -> None:
    assert list(drifted(home, CHANGES[feature])) == [feature]


def test_bursts_drift_in_the_gaps(home: Home) -> None:
    def in_bursts(number: int) -> dict[str, object]:
        burst, at = divmod(number, 20)
        when = SNAPSHOT + timedelta(days=burst, seconds=at)
        return {"customer_id": f"c{burst % 20}", "event_time": when}

    assert list(drifted(home, in_bursts)) == ["gap"]


def test_the_index_is_as_by_hand() -> None:
    # (0.7 - 0.5) ln(0.7 / 0.5) + (0.3 - 0.5) ln(0.3 / 0.5) = 0.1695, less 1 / 1000 + 1 / 1000.
    then, now = {"a": 500, "b": 500}, {"a": 700, "b": 300}
    assert stability(then, now) == pytest.approx(0.1695 - 0.002, abs=1e-4)
    assert stability(now, now) == 0


def test_few_interactions_are_no_change() -> None:
    # The index itself is (0.8 - 0.5) ln(0.8 / 0.5) + (0.2 - 0.5) ln(0.2 / 0.5) = 0.4159.
    assert stability({"a": 500, "b": 500}, {"a": 4, "b": 1}) == pytest.approx(0.2149, abs=1e-4)
    assert stability({"a": 500, "b": 500}, {}) == 0
    assert stability({"a": 500}, {"a": 3, "b": 0}) == 0


# ---- Schedule, volume, calibration -------------------------------------------------------------


@pytest.mark.parametrize(("days", "fires"), [(6.9, False), (7.0, True), (40.0, True)])
def test_the_schedule_fires_at_an_age(days: float, fires: bool) -> None:
    given = schedule(START, START + timedelta(days=days), SETTINGS)
    assert (given.fired, given.value) == (fires, pytest.approx(days))


@pytest.mark.parametrize(("new", "fires"), [(99_999, False), (100_000, True)])
def test_the_volume_fires_at_a_number(new: int, fires: bool) -> None:
    assert volume(new, SETTINGS).fired == fires


def test_calibration_fires_when_other_things_come_than_were_expected() -> None:
    expected = {"view": 700.0, "purchase": 200.0, "search": 100.0}
    usual = {"view": 690.0, "purchase": 215.0, "search": 95.0}
    assert not calibration(Intents(expected, usual), SETTINGS).fired
    given = calibration(
        Intents(expected, {"view": 550.0, "purchase": 400.0, "search": 50.0}), SETTINGS
    )
    assert given.fired
    assert given.text == "most: purchase, 20.0% then, 40.0% now"


def test_calibration_without_anything_that_came_is_silent() -> None:
    assert not calibration(Intents({}, {}), SETTINGS).fired


# ---- The whole ---------------------------------------------------------------------------------


def look(home: Home, **changes: object) -> tuple[dict[str, Trigger], list[str]]:
    """All triggers by name, and the notes, right after the champion was trained."""
    notes: list[str] = []
    settings = WatchSettings(**changes)  # type: ignore[arg-type]
    created = Publisher(home).versions()
    trained = (
        datetime.fromtimestamp(created[0].created_ms / 1000, START.tzinfo) if created else START
    )
    triggers = watch(FeatureSettings(home=home.path), settings, trained, notes.append)
    return {each.name: each for each in triggers}, notes


def test_without_a_model_it_is_time_to_train(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_part(home.history, table_of(acts(20, THEN)), part="then")
    triggers, _ = look(home)
    assert list(triggers) == ["first"]
    assert triggers["first"].fired


def test_with_nothing_new_nothing_fires(home: Home) -> None:
    triggers, notes = look(home)
    assert [each.fired for each in triggers.values()] == [False, False]
    assert triggers["volume"].value == 0
    assert notes == ["0 new interactions are too few to tell whether anything drifts."]


@pytest.mark.filterwarnings(r"ignore:`\w+` is deprecated:DeprecationWarning:ray")
def test_all_triggers_look_at_what_is_new(home: Home) -> None:
    write_part(home.history, table_of(acts(400, SNAPSHOT, CHANGES["channel"])), part="now")
    triggers, notes = look(home, new_interactions=400)
    assert notes == []
    assert triggers["volume"].value == 400
    assert [each.name for each in triggers.values() if each.fired][:2] == [
        "volume",
        "drift of channel",
    ]
    assert 0 <= triggers["calibration"].value < 10
