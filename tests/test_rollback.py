"""Reigns: who was champion is known, the alias goes back, and only to what may serve."""

from pathlib import Path

import pytest

from features.settings import Home
from features.vocabulary import load_vocabulary
from tests.artefacts import write_artefact
from training.publishing import CROWNED, PREDECESSOR, RETREATED, Publisher
from training.rollback import Change, roll_back
from training.settings import TrainingError

VOCABULARY = load_vocabulary()


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    """Three versions, crowned one after another, and a fourth that was refused."""
    publisher = Publisher(Home(tmp_path / "home"))
    artefact = write_artefact(tmp_path / "artefact")
    kept = tmp_path / "kept"
    kept.mkdir()
    for number in "1234":
        run_id = publisher.begin(f"run-{number}", {"width": 16})
        publisher.log(run_id, {"ndcg_at_10": 0.25})
        assert publisher.publish(run_id, artefact, kept, {"verdict": "crowned"}) == number
        publisher.end(run_id)
    for number in "123":
        publisher.crown(number)
    return publisher


def champion(publisher: Publisher) -> str:
    found = publisher.champion()
    assert found is not None
    return found.version


def test_each_version_knows_when_it_was_crowned_and_who_reigned_before(
    publisher: Publisher,
) -> None:
    assert PREDECESSOR not in publisher.tags("1")
    assert publisher.tags("3")[PREDECESSOR] == "2"
    assert CROWNED in publisher.tags("3")
    assert CROWNED not in publisher.tags("4")
    listed = [(each.version, each.champion) for each in publisher.versions()]
    assert listed == [("4", False), ("3", True), ("2", False), ("1", False)]


def test_rolling_back_twice_goes_back_twice(publisher: Publisher) -> None:
    assert roll_back(publisher, VOCABULARY) == Change("3", "2")
    assert RETREATED in publisher.tags("3")
    assert roll_back(publisher, VOCABULARY) == Change("2", "1")
    assert champion(publisher) == "1"
    with pytest.raises(TrainingError, match="no model reigned before model 1: name a version"):
        roll_back(publisher, VOCABULARY)


def test_a_version_crowned_after_a_rollback_follows_the_one_that_reigned(
    publisher: Publisher,
) -> None:
    roll_back(publisher, VOCABULARY)
    publisher.crown("4")
    assert publisher.tags("4")[PREDECESSOR] == "2"


def test_any_version_may_be_named_also_one_that_was_refused(publisher: Publisher) -> None:
    assert roll_back(publisher, VOCABULARY, "4") == Change("3", "4")
    assert champion(publisher) == "4"


@pytest.mark.parametrize("version", ["99", "newest", "-1"])
def test_an_unknown_version_is_named_and_nothing_changes(
    publisher: Publisher, version: str
) -> None:
    with pytest.raises(TrainingError, match=f"version is '{version}': no such model"):
        roll_back(publisher, VOCABULARY, version)
    assert champion(publisher) == "3"


def test_the_champion_is_no_version_to_go_back_to(publisher: Publisher) -> None:
    with pytest.raises(TrainingError, match="version is '3': this is the champion already"):
        roll_back(publisher, VOCABULARY, "3")


def test_what_serving_would_refuse_is_refused(publisher: Publisher) -> None:
    graph = publisher.find("2").directory / "model.onnx"
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    with pytest.raises(TrainingError, match=r"version is '2', which must not serve.*model\.onnx"):
        roll_back(publisher, VOCABULARY)
    assert champion(publisher) == "3"


def test_without_a_champion_there_is_nothing_to_go_back_from(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="there is no champion to roll back from"):
        roll_back(Publisher(Home(tmp_path)), VOCABULARY)


def test_a_run_that_was_cut_off_goes_on_and_one_with_a_version_does_not(tmp_path: Path) -> None:
    publisher = Publisher(Home(tmp_path / "home"))
    artefact = write_artefact(tmp_path / "artefact")
    cut_off = publisher.begin("run-a", {})
    assert publisher.begin("run-b", {}) != cut_off
    assert publisher.begin("run-a", {}) == cut_off
    publisher.end(cut_off, "FAILED")
    assert publisher.begin("run-a", {}) == cut_off
    publisher.publish(cut_off, artefact, artefact, {})
    assert publisher.begin("run-a", {}) != cut_off
