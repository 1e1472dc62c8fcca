"""A retraining on more days, from the champion's weights: less to learn, new items appended."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from features.artefact import load_items, read_contract, verify
from features.history.partitions import write_part
from features.settings import FeatureSettings, Home
from features.vocabulary import load_vocabulary
from tests.artefacts import write_artefact
from tests.interactions import START, interaction, table_of
from tests.signing import write_pair
from tests.test_training import SETTINGS, fill
from training.preparing import find_start, prepared
from training.publishing import Publisher
from training.running import Outcome, train
from training.settings import TrainingSettings

pytestmark = [  # Ray warns of what it does itself
    pytest.mark.filterwarnings(r"ignore:`\w+` is deprecated:DeprecationWarning:ray"),
]
VOCABULARY = load_vocabulary()
WARM = replace(SETTINGS, warm_start=True)


@dataclass
class Retraining:
    """A full training, some days more, and a warm one."""

    home: Home
    trusted: Path  # the key by which both are signed
    publisher: Publisher
    full: Outcome
    warm: Outcome
    positions: list[int]
    epochs: list[int]
    notes: list[str] = field(default_factory=list)


@contextmanager
def unseen() -> Iterator[object]:
    yield lambda progress: None


def add_days(home: Home) -> None:
    """Another item is viewed as well, on the last ten days."""
    acts = [
        interaction(
            number,
            interaction_id=f"more-{number}",
            customer_id=f"c{number % 40}",
            item_id="brand-new" if number % 2 else "i3",
            event_time=START + timedelta(days=16 + number / 16),
        )
        for number in range(160)
    ]
    write_part(home.history, table_of(acts), part="more")


@pytest.fixture(scope="module")
def retraining(tmp_path_factory: pytest.TempPathFactory) -> Retraining:
    folder = tmp_path_factory.mktemp("retraining")
    signing, trusted = write_pair(folder)
    features = FeatureSettings(home=folder / "home", trusted_keys=str(trusted))
    home = Home(features.home)
    fill(home, 150)
    outcomes, positions, epochs, notes = list[Outcome](), list[int](), list[int](), list[str]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")  # as __main__ does
        for each in (SETTINGS, WARM):
            settings = replace(each, signing_key=str(signing))
            with prepared(features, settings, notes.append) as ready:
                outcomes.append(train(ready, unseen, notes.append))  # type: ignore[arg-type]
                positions.append(ready.plan.position_count)
                epochs.append(ready.plan.settings.epochs)
            add_days(home)
    full, warm = outcomes
    return Retraining(home, trusted, Publisher(home), full, warm, positions, epochs, notes)


def test_it_begins_with_the_champion_and_says_so(retraining: Retraining) -> None:
    assert retraining.full.crowned
    lineage = read_contract(retraining.publisher.find("2").directory).lineage
    assert (lineage["parent"], lineage["start"]) == ("1", "1")
    assert retraining.publisher.tags("2")["lineage.start"] == "1"
    assert retraining.notes == []


def test_it_learns_less(retraining: Retraining) -> None:
    assert retraining.epochs == [3, 1]
    assert retraining.positions[1] < retraining.positions[0]


def test_known_items_keep_their_places_and_new_ones_follow(retraining: Retraining) -> None:
    first, second = (
        load_items(retraining.publisher.find(each).directory).item_ids for each in "12"
    )
    assert second[: len(first)] == first
    assert second[len(first) :] == ("brand-new",)


def test_it_is_no_worse_than_the_baselines(retraining: Retraining) -> None:
    ndcg = {each.name: each.ranking.ndcg for each in retraining.warm.standings}
    assert ndcg["model 2"] > ndcg["popularity"]
    assert retraining.warm.verdict is not None
    assert "champion, model 1" in retraining.warm.verdict.reasons[0].text


def test_what_it_was_told_to_sign_is_signed(retraining: Retraining) -> None:
    for version in "12":
        found = retraining.publisher.find(version)
        verify(found.directory, VOCABULARY, trusted_keys=str(retraining.trusted))


# ---- What is nothing to begin with -------------------------------------------------------------


def begun(home: Home, settings: TrainingSettings, trusted_keys: str = "") -> str:
    """Why there is no warm start."""
    notes: list[str] = []
    given = (home, VOCABULARY, settings, notes.append)
    assert find_start(*given, trusted_keys=trusted_keys) is None
    (note,) = notes
    return note


def test_without_a_champion_training_is_full(tmp_path: Path) -> None:
    assert begun(Home(tmp_path), WARM).startswith("There is no champion to begin with")


def test_a_champion_of_another_shape_is_nothing_to_begin_with(retraining: Retraining) -> None:
    assert begun(retraining.home, replace(WARM, width=32)).endswith("its width is 16, not 32")


def test_a_champion_that_kept_no_weights_is_nothing_to_begin_with(tmp_path: Path) -> None:
    home, publisher = Home(tmp_path / "home"), Publisher(Home(tmp_path / "home"))
    artefact = write_artefact(tmp_path / "artefact")
    publisher.crown(publisher.publish(publisher.begin("run", {}), artefact, artefact, {}))
    assert begun(home, WARM).endswith("its 'settings' is not known")


def test_a_champion_that_others_have_signed_is_nothing_to_begin_with(
    retraining: Retraining, tmp_path: Path
) -> None:
    _, trusted = write_pair(tmp_path, "theirs")
    told = f"is no signature of this manifest.json by a key of {trusted}"
    assert begun(retraining.home, WARM, str(trusted)).endswith(told)


def test_weights_that_the_artefact_does_not_vouch_for_are_nothing_to_begin_with(
    retraining: Retraining,
) -> None:
    weights = retraining.publisher.kept("2") / "weights.npz"
    content = weights.read_bytes()
    weights.write_bytes(content + b"x")
    told = begun(retraining.home, WARM, str(retraining.trusted))
    weights.write_bytes(content)
    assert told.endswith("weights.npz does not match its sha256 in the artefact")
