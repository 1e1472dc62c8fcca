"""What stands beside the champion: who belongs to it, and how training sets and ends it."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from features.artefact import CHAMPION
from features.policy.arms import Arm, arms_of
from features.policy.experiment import Experiment, Shares
from features.rollout import CANARY, REASON, SHADOW, WITHDRAWN, Rollout, rollout_of, tags_of
from features.settings import Home
from features.vocabulary import load_vocabulary
from tests.artefacts import crown, publish, write_artefact
from training.__main__ import main
from training.gate import Reason, Verdict
from training.publishing import PREDECESSOR, Publisher
from training.rollback import Change
from training.rollout.admitting import admit
from training.rollout.changing import begin, current, promote, withdraw
from training.settings import RolloutSettings, TrainingError

VOCABULARY = load_vocabulary()
KEYS = [f"customer-{number}" for number in range(10_000)]
NOW = "2026-03-01T12:00:00.000+00:00"
BETTER = Verdict((Reason("metric", True, "better"),))


# ---- Who belongs to it -------------------------------------------------------------------------


def test_its_customers_are_the_share_and_drawn_anew_for_another_version() -> None:
    some, same, other = (
        np.array(Rollout(CANARY, version, 0.05, began_time).takes(KEYS))
        for version, began_time in (("7", NOW), ("7", "later"), ("8", NOW))
    )
    assert 0.043 < some.mean() < 0.057  # within three standard errors
    assert some.tolist() == same.tolist()
    assert 0.001 < (some & other).mean() < 0.004  # 0.05 * 0.05 = 0.0025
    more = np.array(Rollout(CANARY, "7", 0.2, NOW).takes(KEYS))
    assert more[some].all()
    assert all(Rollout(CANARY, "7", 1.0, NOW).takes(KEYS))


def test_its_customers_are_in_every_arm_alike() -> None:
    arm_B = arms_of(Experiment(shares=Shares(no_contact=0.5)), KEYS)
    left_alone_B = np.array([each is Arm.NO_CONTACT for each in arm_B])
    taken_B = np.array(Rollout(CANARY, "7", 0.5, NOW).takes(KEYS))
    assert 0.48 < left_alone_B[taken_B].mean() < 0.52
    assert 0.48 < left_alone_B[~taken_B].mean() < 0.52


def test_what_tags_say_is_what_was_set() -> None:
    rollout = Rollout(CANARY, "7", 0.05, NOW)
    assert tags_of(rollout) == {"canary_share": "0.05", "canary_time": NOW}
    assert rollout_of(CANARY, "7", tags_of(rollout)) == rollout
    assert rollout_of(CANARY, "7", tags_of(rollout) | {WITHDRAWN: NOW}) is None
    with pytest.raises(ValueError, match="shadow is model 7, with the tags shadow_share '' and"):
        rollout_of(SHADOW, "7", tags_of(rollout))


# ---- How it is set, promoted and withdrawn -----------------------------------------------------


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Three versions, of which the first is the champion; tests leave it as they found it."""
    folder = tmp_path_factory.mktemp("rollout")
    home = Home(folder / "home")
    for name in ("first", "second", "third"):
        publish(home, write_artefact(folder / name))
    return home


@pytest.fixture
def publisher(shared: Home) -> Publisher:
    publisher = Publisher(shared)
    crown(shared, "1")
    for alias in (CANARY, SHADOW):
        if publisher.version_of(alias):
            publisher.unpoint(alias)
    return publisher


def test_a_canary_is_set_and_promoted(publisher: Publisher) -> None:
    rollout = begin(publisher, VOCABULARY, CANARY, "2", 0.05)
    assert current(publisher, CANARY) == rollout
    assert (rollout.version, rollout.share) == ("2", 0.05)
    assert publisher.version_of(CHAMPION) == "1"
    assert promote(publisher, VOCABULARY) == Change("1", "2")
    assert (publisher.version_of(CHAMPION), publisher.version_of(CANARY)) == ("2", "")
    assert publisher.tags("2")[PREDECESSOR] == "1"
    with pytest.raises(TrainingError, match="there is no canary to promote"):
        promote(publisher, VOCABULARY)


def test_a_withdrawn_one_keeps_the_reason_until_it_is_set_anew(publisher: Publisher) -> None:
    begin(publisher, VOCABULARY, CANARY, "3", 0.05)
    assert withdraw(publisher, CANARY, "operator: dull") == "3"
    assert (publisher.tags("3")[REASON], publisher.version_of(CANARY)) == ("operator: dull", "")
    publisher.point(CANARY, "3")  # by other means
    assert current(publisher, CANARY) is None
    with pytest.raises(TrainingError, match="there is no canary to promote"):
        promote(publisher, VOCABULARY)
    begin(publisher, VOCABULARY, CANARY, "3", 0.1)
    assert REASON not in publisher.tags("3")
    found = current(publisher, CANARY)
    assert found is not None and found.share == 0.1


def test_a_shadow_becomes_the_canary(publisher: Publisher) -> None:
    begin(publisher, VOCABULARY, SHADOW, "2", 1.0)
    begin(publisher, VOCABULARY, CANARY, "2", 0.05)
    assert (publisher.version_of(SHADOW), publisher.version_of(CANARY)) == ("", "2")
    with pytest.raises(TrainingError, match="there is no shadow to withdraw"):
        withdraw(publisher, SHADOW, "")


@pytest.mark.parametrize(
    ("version", "share", "error"),
    [
        ("1", 0.05, "version is '1': this is the champion already"),
        ("99", 0.05, "version is '99': no such model is registered"),
        ("2", 0.0, "share is 0: must be more than 0, and at most 1"),
        ("2", 1.5, "share is 1.5: must be more than 0, and at most 1"),
        ("2", float("nan"), "share is nan: must be"),
    ],
)
def test_what_cannot_be_a_canary_is_named_and_nothing_changes(
    publisher: Publisher, version: str, share: float, error: str
) -> None:
    with pytest.raises(TrainingError, match=error):
        begin(publisher, VOCABULARY, CANARY, version, share)
    assert publisher.version_of(CANARY) == ""


def test_what_must_not_serve_is_no_canary(
    shared: Home, publisher: Publisher, tmp_path: Path
) -> None:
    broken = write_artefact(tmp_path / "broken")
    (broken / "items.parquet").write_bytes(b"PAR1")
    version = publish(shared, broken)
    crown(shared, "1")
    with pytest.raises(
        TrainingError, match=rf"version is '{version}', which must not serve.*items"
    ):
        begin(publisher, VOCABULARY, CANARY, version, 0.05)


def test_without_a_champion_there_is_no_canary(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="there is no champion yet"):
        begin(Publisher(Home(tmp_path)), VOCABULARY, CANARY, "1", 0.05)


# ---- What a training makes of it ---------------------------------------------------------------


def test_a_model_that_is_better_is_canary_first_where_that_is_asked(publisher: Publisher) -> None:
    assert admit(publisher, "2", BETTER, "1", canary=0.05).crowned
    assert (publisher.version_of(CHAMPION), publisher.version_of(CANARY)) == ("1", "2")
    refused = admit(publisher, "3", BETTER, "1", canary=0.05)
    assert refused.reasons[-1].text == "model 2 is the canary still: promote it, or withdraw it"
    assert publisher.tags("3")["verdict"] == "refused"
    assert publisher.version_of(CANARY) == "2"
    assert admit(publisher, "3", BETTER, "1").crowned
    assert publisher.version_of(CHAMPION) == "3"


def test_a_model_that_is_no_better_gets_no_alias(publisher: Publisher) -> None:
    worse = Verdict((Reason("metric", False, "worse"),))
    assert admit(publisher, "2", worse, "1", canary=0.05) == worse
    assert (publisher.version_of(CHAMPION), publisher.version_of(CANARY)) == ("1", "")
    late = admit(publisher, "2", BETTER, "3", canary=0.05)
    assert late.reasons[-1].text.startswith("model 1 has become champion meanwhile")


def test_a_share_of_a_training_is_one() -> None:
    with pytest.raises(TrainingError, match=r"canary is 1\.2: must be 0 to 1"):
        RolloutSettings(canary=1.2)


# ---- From the shell ----------------------------------------------------------------------------


def test_the_commands_say_what_they_did(shared: Home, publisher: Publisher) -> None:
    def said(*words: str) -> str:
        arguments = [*words, "--home", str(shared.path)]
        return CliRunner().invoke(main, arguments, catch_exceptions=False).output

    assert said("canary", "2", "--share", "0.1") == (
        "Model 2 is the canary from now on, for 0.1 of the customers.\n"
    )
    assert "is the shadow from now on, in 0.1 of the decisions" in said("shadow", "3")
    marks = {line.split()[0]: line for line in said("list").splitlines()}
    assert marks["1"].endswith("  champion")
    assert "  canary" in marks["2"]
    assert "  shadow" in marks["3"]
    assert said("analyze").startswith("Model 2, the canary for 0.1 of the customers: no decision")
    assert said("withdraw", "shadow") == "Model 3 is the shadow no more.\n"
    assert said("withdraw", "--reason", "enough") == "Model 2 is the canary no more.\n"
    assert "operator: enough" in said("show", "2")
    assert "  withdrawn" in said("list")
    assert said("analyze") == "There is no canary.\n"
    said("canary", "3")
    assert said("promote") == (
        "Model 3, the canary, is the champion from now on; it was model 1.\n"
    )
