"""A whole run under Ray, in which a worker is killed: it goes on, and ends with a champion."""

import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np
import psutil
import pytest

from features.artefact import read_contract, verify
from features.history.partitions import write_part
from features.settings import FeatureSettings, Home
from features.vocabulary import load_vocabulary
from tests.interactions import START, interaction, table_of
from training.data.split import take_snapshot
from training.learning.progress import Progress, Teller, listening
from training.publishing import Publisher
from training.running import Outcome, evaluate, prepared, train
from training.settings import TrainingError, TrainingSettings

pytestmark = [  # Ray warns of what it does itself
    pytest.mark.filterwarnings(r"ignore:`\w+` is deprecated:DeprecationWarning:ray"),
]
RAY = re.compile(r"ray::|raylet|gcs_server")  # what Ray's programs are called
SETTINGS = TrainingSettings(
    width=16, max_length=8, epochs=3, positions_a_step=256, learning_rate=0.01, examples=300
)


@dataclass
class Run:
    """What a run did, and what was heard of it."""

    home: Home
    trained: Outcome
    evaluated: Outcome
    killed: list[int]
    heard: list[Progress]  # after the kill
    notes: list[str] = field(default_factory=list)


def fill(home: Home, customers: int) -> None:
    """A history in which item n is followed by item n + 1, of twelve."""
    rng, acts = np.random.default_rng(0), []
    for customer in range(customers):
        first = int(rng.integers(12))
        for number in range(int(rng.integers(5, 25))):
            acts.append(
                interaction(
                    len(acts),
                    customer_id=f"c{customer}",
                    item_id=f"i{(first + number) % 12}",
                    type="purchase" if number % 4 == 3 else "view",
                    event_time=START + timedelta(days=number + float(rng.random())),
                )
            )
    write_part(home.history, table_of(acts), part="test")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    features = FeatureSettings(home=tmp_path_factory.mktemp("training"))
    home = Home(features.home)
    fill(home, 150)
    killed: list[int] = []
    heard: list[Progress] = []
    notes: list[str] = []

    def hear(progress: Progress) -> None:
        """In the second epoch, when the first is a checkpoint, the worker dies; once."""
        if progress.epoch == 2 and not killed:
            killed.extend(kill_workers())
        elif killed:
            heard.append(progress)

    @contextmanager
    def showing() -> Iterator[object]:
        yield hear

    with pytest.MonkeyPatch.context() as patch, prepared(features, SETTINGS) as ready:
        patch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")  # as __main__ does
        trained = train(ready, showing, notes.append)  # type: ignore[arg-type]
        evaluated = evaluate(ready, notes.append)
    return Run(home, trained, evaluated, killed, heard, notes)


def kill_workers() -> list[int]:
    """Kills the training workers among the processes that this one has started."""
    workers = [
        each.pid
        for each in psutil.Process().children(recursive=True)
        if "RayTrainWorker" in " ".join(each.cmdline())
    ]
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    return workers


def test_a_killed_worker_is_replaced_and_goes_on_from_the_checkpoint(run: Run) -> None:
    assert len(run.killed) == 1
    assert run.heard
    assert min(each.epoch for each in run.heard) == 2
    assert run.trained.version == "1"


def test_the_first_model_becomes_champion(run: Run) -> None:
    assert run.trained.crowned
    (version,) = Publisher(run.home).versions()
    assert (version.version, version.champion) == ("1", True)
    assert run.notes == []


def test_the_model_beats_the_baselines_that_cannot_know_better(run: Run) -> None:
    ndcg = {each.name: each.ranking.ndcg for each in run.trained.standings}
    assert list(ndcg) == ["popularity", "recency", "Markov", "VMIS-kNN", "model 1"]
    assert ndcg["model 1"] > max(ndcg["popularity"], ndcg["recency"])


def test_the_champion_is_judged_again_as_it_was(run: Run) -> None:
    model, champion = run.trained.standings[-1], run.evaluated.standings[-1]
    assert champion.name == "champion, model 1"
    assert champion.metrics == pytest.approx(model.metrics)


def test_the_report_shows_how_the_model_learnt_and_mlflow_keeps_it(run: Run) -> None:
    page = run.trained.report
    assert page.count("<svg") == 4  # ranks, learning, and two of calibration
    assert "Learning: item" in page and "validation" in page
    assert [each.read_text() for each in run.home.artefacts.rglob("report.html")] == [page]


def test_the_artefact_tells_where_it_comes_from(run: Run) -> None:
    champion = Publisher(run.home).champion()
    assert champion is not None
    contract = verify(champion.directory, load_vocabulary())
    assert contract == read_contract(champion.directory)
    assert contract.metrics["ndcg_at_10"] == run.trained.standings[-1].ranking.ndcg
    assert json.loads(contract.lineage["settings"])["width"] == 16
    assert contract.lineage["parent"] == ""


def test_nothing_of_the_run_is_left(run: Run) -> None:
    assert not run.home.checkpoints.exists()
    left = psutil.Process().children(recursive=True)
    assert [each.pid for each in left if RAY.search(" ".join(each.cmdline()[:1]))] == []


def test_an_empty_history_says_so(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="holds no interactions: import or simulate some first"):
        take_snapshot(Home(tmp_path), load_vocabulary(), test_share=0.1)


def test_a_teller_without_the_password_is_not_heard() -> None:
    heard: list[Progress] = []
    with listening("127.0.0.1", heard.append) as address:
        stranger = Teller(type(address)(address.host, address.port, "guess"))
        stranger.tell(Progress(1, 0.5, 1.0))
        stranger.close()
    assert heard == []
