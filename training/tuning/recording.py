"""What is told of a search while it goes on: lines for people, runs and metrics for MLflow."""

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import ray.tune
from mlflow.exceptions import MlflowException
from ray.tune.experiment import Trial

from training.publishing import Publisher
from training.settings import TrainingSettings
from training.tuning.trial import EPOCH, HEADS, LOSS, name_of, number_of, rounded, settings_of

EXPERIMENT = "searches"
LOGGED = (LOSS, *(f"{part}_{head}" for part in ("training", "validation") for head in HEADS))


class Recorder(ray.tune.Callback):
    """Hears of every trial from Ray Tune."""

    def __init__(
        self,
        publisher: Publisher,
        search: str,
        settings: TrainingSettings,
        note: Callable[[str], None],
    ) -> None:
        """No trial goes on yet."""
        self._publisher, self._search, self._settings = publisher, search, settings
        self._note = note
        self._run_ids: dict[str, str] = {}  # of the trials that go on

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Begins a run, or goes on with the one that was cut off."""
        name = f"{self._search}/{name_of(trial.trial_id)}"
        params = dataclasses.asdict(settings_of(self._settings, trial.config))
        self._run_ids[trial.trial_id] = self._publisher.begin(name, params)
        self._note(f"trial {number_of(trial.trial_id)}  {described(trial.config)}")

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Trial],
        trial: Trial,
        result: dict[str, Any],
        **_: Any,
    ) -> None:
        """Logs an epoch."""
        epoch, loss = result[EPOCH], result[LOSS]
        metrics = {name: result[name] for name in LOGGED}
        with suppress(MlflowException):  # it hears again of it, or ends the search
            self._publisher.log(self._run_ids[trial.trial_id], metrics, step=epoch)
        self._note(f"trial {number_of(trial.trial_id)}  epoch {epoch}  {loss:.4f}")

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **_: Any
    ) -> None:
        """Ends the run of a trial that is through, or has been given up."""
        self._end(trial.trial_id, "FINISHED")

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Ends the run of a trial that has failed."""
        self._end(trial.trial_id, "FAILED")

    def close(self) -> None:
        """Ends the runs of trials that are cut off, as long as there is somebody to tell."""
        for trial_id in list(self._run_ids):
            with suppress(MlflowException):
                self._end(trial_id, "KILLED")

    def _end(self, trial_id: str, status: str) -> None:
        if run_id := self._run_ids.pop(trial_id, None):
            self._publisher.end(run_id, status)


def described(drawn: Mapping[str, Any]) -> str:
    """What a trial was drawn to be, in the words of the flags."""
    return ", ".join(f"{name.replace('_', '-')} {rounded(each)}" for name, each in drawn.items())
