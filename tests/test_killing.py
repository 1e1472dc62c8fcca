"""kill -9 of training, and of the MLflow server: the champion stays, a rerun goes on."""

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import psutil
import pytest

from features.artefact import verify
from features.settings import Home
from features.vocabulary import load_vocabulary
from tests.artefacts import write_artefact
from tests.mlflow_server import MlflowServer
from tests.programs import training
from tests.test_training import fill
from training.publishing import Publisher

SMALL = (
    *("--width", "16", "--max-length", "8", "--epochs", "30", "--patience", "0"),
    *("--positions-a-step", "64", "--examples", "100"),
)
PROGRESS = re.compile(r"epoch (\d+) ")


@dataclass
class Story:
    """What was seen after three runs: the driver killed, the server killed, undisturbed."""

    home: Home
    champions: list[str] = field(default_factory=list)
    versions: list[list[str]] = field(default_factory=list)
    first_epochs: list[int] = field(default_factory=list)  # that each run told of
    printed: list[str] = field(default_factory=list)
    checkpoints: list[bool] = field(default_factory=list)  # whether some are kept
    left: list[str] = field(default_factory=list)  # processes of the killed driver


def begun(home: Home) -> AbstractContextManager["subprocess.Popen[str]"]:
    """A training that asks a dead tracking server only once again."""
    where = ("--home", home.path, "--tracking-url", home.tracking_url)
    return training("train", *where, *SMALL, MLFLOW_HTTP_REQUEST_MAX_RETRIES="1")


def reach(process: "subprocess.Popen[str]", share: int) -> tuple[int, str]:
    """Reads until so much of the run is done; gives the first epoch told of, and all lines."""
    first, lines = 0, []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if told := PROGRESS.search(line):
            first = first or int(told[1])
            if int(line.split("%")[0]) >= share:
                break
    return first, "".join(lines)


def note(story: Story, first: int, printed: str) -> None:
    publisher = Publisher(story.home)
    champion = publisher.champion()
    assert champion is not None
    verify(champion.directory, load_vocabulary())
    story.champions.append(champion.version)
    story.versions.append([each.version for each in publisher.versions()])
    story.first_epochs.append(first)
    story.printed.append(printed)
    story.checkpoints.append(story.home.checkpoints.exists())


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("killing")
    with MlflowServer(folder / "server") as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        story = Story(Home(folder / "home", server.url))
        fill(story.home, 60)
        publisher = Publisher(story.home)
        artefact = write_artefact(folder / "artefact")
        publisher.crown(publisher.publish(publisher.begin("first", {}), artefact, artefact, {}))
        with begun(story.home) as process:
            first, printed = reach(process, 40)
            began = psutil.Process(process.pid).children(recursive=True)
            names = {each.pid: " ".join(each.cmdline()[:4]) for each in began}
            process.send_signal(signal.SIGKILL)
        _, alive = psutil.wait_procs(began, timeout=180)
        story.left = [names[each.pid] for each in alive]
        note(story, first, printed)
        with begun(story.home) as process:
            first, printed = reach(process, 70)
            server.kill()
            assert process.stdout is not None
            printed += process.stdout.read()
        server.start()
        note(story, first, printed)
        with begun(story.home) as process:
            first, printed = reach(process, 101)
        note(story, first, printed)
        yield story


def test_the_champion_is_untouched_until_a_run_is_through(story: Story) -> None:
    assert story.champions[:2] == ["1", "1"]
    assert story.versions == [["1"], ["1"], ["2", "1"]]


def test_a_rerun_goes_on_where_the_killed_one_was(story: Story) -> None:
    assert story.first_epochs[0] == 1
    assert story.first_epochs[1] > 1
    assert story.checkpoints == [True, True, False]


def test_of_a_killed_driver_no_process_is_left(story: Story) -> None:
    assert story.left == []


def test_without_its_server_training_says_so_in_a_line(story: Story) -> None:
    last = story.printed[1].splitlines()[-1]
    assert last.startswith("Error: API request to http://127.0.0.1:")
    assert "Traceback" not in story.printed[1]


def test_the_rerun_ends_with_a_version_and_a_verdict(story: Story) -> None:
    assert "Model 2 is registered" in story.printed[2]
    assert Publisher(story.home).tags("2")["verdict"] in ("crowned", "refused")
