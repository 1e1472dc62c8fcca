"""The search: trainings with settings drawn from a space, judged by their validation loss."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray.tune
from ray.tune.experiment import Trial

from training.learning.checkpoints import State
from training.learning.cluster import cores
from training.lineage import differing, lineage_of, name_of
from training.preparing import Note, Prepared
from training.publishing import Publisher
from training.settings import TrainingError, TrainingSettings, TuneSettings
from training.tuning.halving import Halving, domains_of, drawer
from training.tuning.recording import EXPERIMENT, Recorder
from training.tuning.space import Space
from training.tuning.trial import (
    LOSS,
    LOSSES,
    Bench,
    number_of,
    rounded,
    settings_of,
    try_out,
)

DECLARED = "search.json"  # in a search's folder: all that must be the same for it to go on
TUNE, CHECKPOINTS = "tune", "trials"  # beside it: Ray Tune's state, and the trials' own
STATES = "experiment_state-*.json"  # as Ray Tune calls it
ALMOST_NOTHING = {"memory": 1.0}  # a byte: what waits for workers must not keep a core from them
GO_ON = ray.tune.ResumeConfig(
    errored=ray.tune.ResumeConfig.ResumeType.RESUME  # type: ignore[arg-type]  # its own type
)


@dataclass(frozen=True, slots=True)
class Tried:
    """How a trial ended."""

    number: int
    drawn: Mapping[str, Any]
    settings: TrainingSettings
    losses: Sequence[float]  # validation loss of each epoch
    error: str = ""  # of one that failed

    @property
    def loss(self) -> float:
        """That of the best epoch, which is the one that training keeps."""
        return min(self.losses, default=float("inf"))

    @property
    def given_up(self) -> bool:
        """Whether it was ended before it would have ended by itself."""
        history = [{"validation_loss": loss} for loss in self.losses]
        state = State(epoch=len(history), history=history)
        return not state.is_enough(self.settings.epochs, self.settings.patience)


def search(run: Prepared, space: Space, settings: TuneSettings, note: Note) -> list[Tried]:
    """All trials, best first; a search of this name that was cut off goes on."""
    _check_room(run.settings, settings)
    declared = _declared(run, space, settings)
    name = settings.name or name_of(declared, "search")
    folder = (run.home.searches / name).resolve()
    declare(folder, declared)
    note(f"Search {name}: {settings.trials} trials")
    recorder = Recorder(Publisher(run.home, EXPERIMENT), name, run.settings, note)
    try:
        trials = _tune(run, space, settings, folder, recorder)
    finally:
        recorder.close()
    tried = sorted((_tried(run.settings, trial) for trial in trials), key=lambda each: each.loss)
    if not any(each.error for each in tried):  # one that failed may go on
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    return tried


def _check_room(training: TrainingSettings, settings: TuneSettings) -> None:
    room = cores() // training.workers
    if settings.at_once > max(room, 1):
        text = f"{cores()} cores have room for {room}, each with --workers {training.workers}"
        raise TrainingError(f"at-once is {settings.at_once}: {text}")


def _declared(run: Prepared, space: Space, settings: TuneSettings) -> dict[str, str]:
    """All that trials must share to be compared."""
    lineage = lineage_of(run.snapshot, run.vocabulary, run.settings, parent="", start="")
    return {name: value for name, value in lineage.items() if name != "commit"} | {
        "space": space.model_dump_json(exclude_defaults=True),
        "trials": str(settings.trials),
        "at-once": str(settings.at_once),
    }


def declare(folder: Path, declared: Mapping[str, str]) -> None:
    """Notes what is searched; raises TrainingError if it is not what this search began with."""
    file = folder / DECLARED
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(".new")
        draft.write_text(json.dumps(declared, indent=1) + "\n")
        draft.replace(file)
    if differences := differing(json.loads(file.read_text()), declared):
        texts = [f"{name} was {before}, is {now}" for name, before, now in differences]
        text = f"search {folder.name} was begun otherwise; give this one another --name"
        raise TrainingError("\n  ".join([f"{text}:", *texts]))


def _tune(
    run: Prepared, space: Space, settings: TuneSettings, folder: Path, recorder: Recorder
) -> Sequence[Trial]:
    """Ray Tune's trials, all ended."""
    begun = any((folder / TUNE).glob(STATES))
    blocks, threads = run.dataset.get_internal_block_refs(), cores() // settings.at_once
    bench = Bench(run.plan, blocks, folder / CHECKPOINTS, max(threads, 1))
    domains = domains_of(space)
    analysis = ray.tune.run(
        ray.tune.with_resources(ray.tune.with_parameters(try_out, bench=bench), ALMOST_NOTHING),
        name=TUNE,
        storage_path=str(folder),
        config=domains,
        num_samples=settings.trials,
        metric=LOSS,
        mode="min",
        search_alg=drawer(domains, run.settings, at_once=settings.at_once),
        scheduler=Halving(run.settings.epochs),
        callbacks=[recorder],
        resume_config=GO_ON if begun else None,
        raise_on_failed_trial=False,
        verbose=0,
    )
    return analysis.trials


def _tried(base: TrainingSettings, trial: Trial) -> Tried:
    error = ""
    if trial.status == Trial.ERROR:
        lines = (trial.error_file and Path(trial.error_file).read_text().split("\n")) or []
        error = next((line for line in reversed(lines) if line.strip()), "no reason is known")
    return Tried(
        number=number_of(trial.trial_id),
        drawn={name: rounded(value) for name, value in trial.config.items()},
        settings=settings_of(base, trial.config),
        losses=trial.last_result.get(LOSSES, []),
        error=error,
    )
