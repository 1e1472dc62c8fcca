"""Equal runs end bit for bit equal: also one whose worker, or whose program, was killed midway."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import ray.train
import torch
from torch import Tensor

from features.settings import FeatureSettings, Home
from tests.test_training import fill
from training.learning.checkpoints import best_of
from training.learning.cluster import fit
from training.learning.progress import Progress, listening
from training.preparing import Prepared, prepared
from training.settings import TrainingSettings

pytestmark = [  # Ray warns of what it does itself
    pytest.mark.filterwarnings(r"ignore:`\w+` is deprecated:DeprecationWarning:ray"),
]
SETTINGS = TrainingSettings(
    width=16, max_length=8, epochs=2, positions_a_step=64, learning_rate=0.01, examples=50,
    patience=0, checkpoint_steps=4, averaging=0.9,
)  # fmt: skip


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    features = FeatureSettings(home=tmp_path_factory.mktemp("resume"))
    fill(Home(features.home), 60)
    with pytest.MonkeyPatch.context() as patch, prepared(features, SETTINGS) as ready:
        patch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")  # as __main__ does
        yield ready


def learnt(
    ready: Prepared,
    storage: Path,
    settings: TrainingSettings = SETTINGS,
    heard: Callable[[Progress], None] = lambda progress: None,
) -> dict[str, Tensor]:
    """The parameters of the best epoch."""
    plan = replace(ready.plan, settings=settings)
    with listening("127.0.0.1", heard) as address:
        result = fit(plan, ready.dataset, storage=storage, name="run", progress=address)
    assert result.checkpoint is not None
    return best_of(result.checkpoint)


def the_same(some: dict[str, Tensor], others: dict[str, Tensor]) -> bool:
    return some.keys() == others.keys() and all(torch.equal(some[n], others[n]) for n in some)


def kill_worker() -> None:
    for each in psutil.Process().children(recursive=True):
        if "RayTrainWorker" in " ".join(each.cmdline()):
            os.kill(each.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def whole(ready: Prepared, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    """What a run learns that nothing disturbs."""
    return learnt(ready, tmp_path_factory.mktemp("whole"))


def test_a_killed_worker_changes_nothing(
    ready: Prepared, whole: dict[str, Tensor], tmp_path: Path
) -> None:
    killed = []

    def hear(progress: Progress) -> None:
        """In the middle of the second epoch, some steps after a checkpoint."""
        if progress.epoch == 2 and progress.done > 0.6 and not killed:
            killed.append(progress)
            kill_worker()

    assert the_same(learnt(ready, tmp_path, heard=hear), whole)
    assert len(killed) == 1


def test_a_killed_run_goes_on_when_it_is_run_again(
    ready: Prepared, whole: dict[str, Tensor], tmp_path: Path
) -> None:
    heard: list[Progress] = []

    def hear(progress: Progress) -> None:
        heard.append(progress)
        if progress.done > 0.3:
            kill_worker()

    with pytest.raises(ray.train.WorkerGroupError):
        learnt(ready, tmp_path, replace(SETTINGS, max_failures=0), hear)
    assert heard[-1].epoch == 1
    heard.clear()
    again = learnt(ready, tmp_path, heard=heard.append)
    assert heard[0].done > 0.1  # not from the start
    assert the_same(again, whole)
