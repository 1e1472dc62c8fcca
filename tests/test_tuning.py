"""A search for better settings: it goes on after a kill -9, and the champion is in no danger."""

import dataclasses
import re
import signal
import subprocess
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient
from ray.tune.experiment import Experiment, Trial

from features.settings import Home, words_of
from tests.artefacts import write_artefact
from tests.programs import training
from tests.test_training import fill
from training.publishing import Publisher
from training.settings import TrainingError, TrainingSettings, TuneSettings
from training.tuning.halving import Halving, domains_of, drawer
from training.tuning.search import Tried, declare
from training.tuning.space import Space, Values
from training.tuning.trial import name_of, settings_of

SETTINGS = TrainingSettings()
SMALL = (
    *("--width", "16", "--max-length", "8", "--epochs", "2", "--patience", "0"),
    *("--positions-a-step", "256", "--examples", "50", "--trials", "2", "--name", "small"),
)
EPOCH = re.compile(r"trial (\d)  epoch (\d)  (\d\.\d{4})")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"trials": 0}, "trials is 0: must be 1 or more"),
        ({"at_once": -1}, "at-once is -1: must be 1 or more"),
        ({"name": "../x"}, "name is '../x': must be letters, digits, dots, dashes and underlines"),
    ],
)
def test_a_search_that_cannot_be_is_refused(values: dict[str, object], told: str) -> None:
    with pytest.raises(TrainingError, match=f"^{re.escape(told)}$"):
        TuneSettings(**values)  # type: ignore[arg-type]


# ---- What is drawn, and given up ---------------------------------------------------------------


def drawn(folder: Path, seed: int) -> list[TrainingSettings]:
    """The settings of three trials."""
    settings = dataclasses.replace(SETTINGS, seed=seed)
    space = Space(
        width=Values(choices=[32, 64]),
        blocks=Values(low=1, high=3),
        learning_rate=Values(low=0.001, high=0.01, scale="log"),
    )
    domains = domains_of(space)
    search = drawer(domains, settings, at_once=3)
    experiment = Experiment(
        "drawn", lambda config: None, config=domains, num_samples=3, storage_path=str(folder)
    )
    search.add_configurations(experiment)
    trials = [search.next_trial() for _ in range(3)]
    return [settings_of(settings, trial.config) for trial in trials]


def test_the_same_seed_draws_the_same_and_first_the_settings_as_they_are(tmp_path: Path) -> None:
    first, *others = drawn(tmp_path, 1)
    assert first == SETTINGS
    assert [first, *others] == drawn(tmp_path, 1)
    assert others != drawn(tmp_path, 2)[1:]
    for each in others:
        assert each.width in (32, 64)
        assert each.blocks in (1, 2, 3)
        assert 0.001 <= each.learning_rate <= 0.01
        assert each.learning_rate == float(f"{each.learning_rate:.3g}")


def test_trials_are_called_by_number() -> None:
    assert name_of("3f2a1_00000") == "trial-1"
    assert name_of("3f2a1_00011") == "trial-12"


def ended(number: int, losses: list[float]) -> Trial:
    """A trial as Ray Tune finds it again after a kill."""
    trial = Trial("__fake", trial_id=f"x_{number:05}", stub=True)
    trial.set_status(Trial.TERMINATED)
    trial.run_metadata.last_result = {"losses": losses, "epoch": len(losses)}
    return trial


def test_a_trial_worse_than_half_of_those_before_a_kill_is_given_up() -> None:
    halving = Halving(4)
    halving.set_search_properties("validation_loss", "min")
    for number, losses in enumerate([[3.0, 2.0, 1.5, 1.4], [3.4], [3.2, 2.2]]):
        halving.on_trial_add(None, ended(number, losses))
    trial = Trial("__fake", trial_id="x_00003", stub=True)
    halving.on_trial_add(None, trial)
    results = [{"epoch": 1, "validation_loss": 3.1}, {"epoch": 2, "validation_loss": 2.15}]
    decisions = [halving.on_trial_result(None, trial, result) for result in results]
    assert decisions == ["CONTINUE", "STOP"]  # the medians are 3.2 and 2.1


def test_a_trial_that_stopped_by_itself_was_not_given_up() -> None:
    settings = dataclasses.replace(SETTINGS, epochs=4, patience=1)

    def given_up(*losses: float) -> bool:
        return Tried(1, {}, settings, losses).given_up

    assert given_up(3.0, 2.0)
    assert not given_up(3.0, 3.1)
    assert not given_up(4.0, 3.0, 2.0, 1.0)


def test_another_space_under_the_same_name_says_what_differs(tmp_path: Path) -> None:
    begun = {"settings": '{"width": 64}', "space": '{"blocks":{"choices":[1]}}'}
    declare(tmp_path / "mine", begun)
    declare(tmp_path / "mine", begun)
    with pytest.raises(TrainingError) as error:
        declare(tmp_path / "mine", begun | {"space": '{"blocks":{"choices":[2]}}'})
    assert str(error.value).splitlines() == [
        "search mine was begun otherwise; give this one another --name:",
        '  space was {"blocks":{"choices":[1]}}, is {"blocks":{"choices":[2]}}',
    ]


def test_settings_become_the_flags_that_give_them() -> None:
    settings = dataclasses.replace(SETTINGS, learning_rate=0.00154, gpu=True, seed=7)
    assert words_of(settings) == ["--learning-rate", "0.00154", "--gpu", "--seed", "7"]
    assert words_of(SETTINGS) == []


# ---- A search, killed and run again ------------------------------------------------------------


@dataclass
class Story:
    """A search of two trials with the same settings, killed in the second, and run again."""

    home: Home
    told: list[list[tuple[str, str, str]]] = field(default_factory=list)  # epochs, by run
    printed: str = ""  # by the second run
    status: int = -1
    left: list[int] = field(default_factory=list)  # processes of the killed driver


def tuning(home: Home, space: Path) -> AbstractContextManager["subprocess.Popen[str]"]:
    """The program, on one thread."""
    where = ("--home", home.path, "--space", space)
    return training("tune", *where, *SMALL, OMP_NUM_THREADS="1")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("tuning")
    story, space = Story(Home(folder / "home")), folder / "space.yaml"
    space.write_text("width: [16]\n")
    fill(story.home, 60)
    publisher = Publisher(story.home)
    artefact = write_artefact(folder / "artefact")
    publisher.crown(publisher.publish(publisher.begin("first", {}), artefact, artefact, {}))
    with tuning(story.home, space) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("trial 2  epoch 1"):
                break
        began = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(began, timeout=180)
    story.left = [each.pid for each in alive]
    story.told.append(EPOCH.findall("".join(lines)))
    with tuning(story.home, space) as process:
        story.printed, _ = process.communicate()
    story.status = process.returncode
    story.told.append(EPOCH.findall(story.printed))
    return story


def test_a_killed_search_goes_on_with_the_trial_that_it_was_at(story: Story) -> None:
    assert story.status == 0, story.printed
    assert [(number, epoch) for number, epoch, _ in story.told[0]] == [
        ("1", "1"), ("1", "2"), ("2", "1")
    ]  # fmt: skip
    assert {number for number, _, _ in story.told[1]} == {"2"}
    assert story.left == []


def test_the_same_settings_learn_the_same_before_and_after_a_kill(story: Story) -> None:
    first = [loss for number, _, loss in story.told[0] if number == "1"]
    told = chain.from_iterable(story.told)
    second = {epoch: loss for number, epoch, loss in told if number == "2"}
    assert len(first) == 2
    assert [second["1"], second["2"]] == first


def lines_of(story: Story) -> list[str]:
    """What the second run printed."""
    return story.printed.splitlines()


def test_the_table_and_the_flags_are_printed(story: Story) -> None:
    *_, table = story.printed.partition("validation loss")
    rows = [line.split() for line in table.splitlines() if re.match(r"\s+\d ", line)]
    loss = story.told[1][-1][2]
    assert [row[:2] for row in rows] == [["1", "16"], ["2", "16"]]
    assert min(row[2] for row in rows) <= loss
    flags = "--width 16 --max-length 8 --epochs 2 --positions-a-step 256 --patience 0 --examples 50"
    assert f"python -m training train --home {story.home.path} {flags}" in lines_of(story)


def test_every_trial_is_a_run_in_an_experiment_of_its_own(story: Story) -> None:
    client = MlflowClient(story.home.tracking_uri)
    experiment = client.get_experiment_by_name("interplay-searches")
    assert experiment is not None
    runs = {each.info.run_name: each for each in client.search_runs([experiment.experiment_id])}
    assert sorted(runs) == ["small/trial-1", "small/trial-2"]
    assert {each.info.status for each in runs.values()} == {"FINISHED"}
    assert runs["small/trial-2"].data.params["width"] == "16"
    epochs = client.get_metric_history(runs["small/trial-2"].info.run_id, "validation_loss")
    assert {each.step for each in epochs} == {1, 2}


def test_the_champion_is_untouched_and_no_checkpoint_is_left(story: Story) -> None:
    (version,) = Publisher(story.home).versions()
    assert (version.version, version.champion) == ("1", True)
    assert not story.home.checkpoints.exists()
    assert not (story.home.searches / "small" / "trials").exists()
