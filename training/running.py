"""One run: from the history to a judged artefact, and to the champion if it is better."""

import dataclasses
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mlflow.exceptions import MlflowException

from features.artefact import ArtefactError
from features.manifest import sha256_of
from training.data.windows import Batch
from training.export.ranker import Ranker
from training.gate import Verdict, gains_by_slice, judge
from training.judging.judging import Contest, Standing, judge_artefact, judge_baselines
from training.learning.calibrating import calibrate
from training.learning.checkpoints import best_of, put_parameters
from training.learning.cluster import fit, host
from training.learning.plan import new_model
from training.learning.progress import Progress, listening
from training.learning.start import WEIGHTS, WEIGHTS_DIGEST, keep_weights
from training.learning.stream import Stream
from training.lineage import lineage_of, name_of
from training.preparing import Note, Prepared, prepared
from training.publishing import Champion, Publisher
from training.report.telling import FILE, report_on
from training.rollout.admitting import admit
from training.sealing import Sealed, write_artefact
from training.settings import TrainingError
from training.watching.watching import keep_reference

__all__ = ["Outcome", "Prepared", "evaluate", "prepared", "train"]

Show = Callable[[Progress], None]
Showing = Callable[[], AbstractContextManager[Show]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    standings: list[Standing]
    contest: Contest
    version: str = ""  # what was registered
    verdict: Verdict | None = None
    report: str = ""  # an HTML page
    share: float = 0.0  # of the customers, where the new model is their canary at first

    @property
    def crowned(self) -> bool:
        """Whether the new model became the champion, or the canary."""
        return self.verdict is not None and self.verdict.crowned


@dataclass(frozen=True, slots=True)
class Judged:
    """What may be published, with those it was compared with."""

    sealed: Sealed
    kept: Path
    others: list[Standing]
    verdict: Verdict


def evaluate(run: Prepared, note: Note) -> Outcome:
    """How the baselines and the champion stand on the test part."""
    standings = judge_baselines(run.counts, run.contest)
    standings += _reigning(run, Publisher(run.home).champion(), note)
    return Outcome(standings, run.contest)


def train(run: Prepared, showing: Showing, note: Note, *, canary: float = 0.0) -> Outcome:
    """Trains, judges, registers, and moves the alias if the new model is better.

    With a share for a canary, it is the canary's alias, unless there is no champion yet.

    What a kill cuts off goes on when the same is run again: until all is done, nothing is cleared.
    """
    publisher = Publisher(run.home)
    champion = publisher.champion()
    reigning = _reigning(run, champion, note)
    parent = champion.version if champion and reigning else ""
    start = run.plan.start.version if run.plan.start else ""
    lineage = lineage_of(run.snapshot, run.vocabulary, run.settings, parent=parent, start=start)
    name = name_of(lineage)
    with _logged(publisher, name, dataclasses.asdict(run.settings)) as run_id:
        ranker = _fit(run, name, _telling(publisher, run_id, showing))
        if calibration := calibrate(ranker.model, _validation(run)):
            publisher.log(run_id, calibration.metrics)
        tags = {f"lineage.{key}": value for key, value in lineage.items()}
        with tempfile.TemporaryDirectory(prefix="interplay-") as folder:
            judged = _judge(run, ranker, Path(folder), lineage, reigning)
            publisher.log(run_id, judged.sealed.metrics)
            page = _reported(publisher, run_id, run, judged)
            version = publisher.publish(
                run_id, judged.sealed.directory, judged.kept, tags | judged.verdict.tags
            )
        share = canary if champion else 0.0
        before = champion.version if champion else ""
        verdict = admit(publisher, version, judged.verdict, before, canary=share)
    shutil.rmtree(run.home.checkpoints, ignore_errors=True)
    challenger = dataclasses.replace(judged.sealed.standing, name=f"model {version}")
    standings = [*judged.others, challenger]
    return Outcome(standings, run.contest, version, verdict, page, share)


@contextmanager
def _logged(publisher: Publisher, name: str, params: Mapping[str, object]) -> Iterator[str]:
    """MLflow's run, which tells how it ended as long as there is somebody to tell."""
    run_id = publisher.begin(name, params)
    try:
        yield run_id
    except BaseException as error:
        with suppress(MlflowException):
            publisher.end(run_id, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    publisher.end(run_id)


# ---- Learning ----------------------------------------------------------------------------------


def _fit(run: Prepared, name: str, showing: Showing) -> Ranker:
    """The trained model at its best epoch; goes on where the run of this name was cut off."""
    _clear(run.home.checkpoints, name)
    with showing() as show, listening(host(), show) as address:
        result = fit(
            run.plan, run.dataset, storage=run.home.checkpoints, name=name, progress=address
        )
    if result.checkpoint is None:
        raise TrainingError(f"the run left no checkpoint: {result.error}")
    model = new_model(run.plan)
    put_parameters(model, best_of(result.checkpoint))
    return Ranker(model, precision=run.settings.item_precision)


def _validation(run: Prepared) -> Iterator[Batch]:
    """All of it, as the only worker would be asked."""
    return Stream(run.plan, run.dataset.get_internal_block_refs(), 0, 1).validation()


def _clear(checkpoints: Path, name: str) -> None:
    """Removes what other runs left that were cut off, and never will go on."""
    for each in checkpoints.iterdir() if checkpoints.exists() else ():
        if each.name != name:
            shutil.rmtree(each, ignore_errors=True)


def _telling(publisher: Publisher, run_id: str, showing: Showing) -> Showing:
    """The same, and MLflow hears of each epoch as it ends."""

    @contextmanager
    def telling() -> Iterator[Show]:
        with showing() as show:

            def tell(progress: Progress) -> None:
                show(progress)
                if progress.metrics:
                    with suppress(MlflowException):  # it hears again of it, or ends the run
                        publisher.log(run_id, progress.metrics, step=progress.epoch)

            yield tell

    return telling


# ---- Publishing --------------------------------------------------------------------------------


def _reigning(run: Prepared, champion: Champion | None, note: Note) -> list[Standing]:
    """The champion on this split; one that must not serve counts as absent."""
    if champion is None:
        return []
    name = f"champion, model {champion.version}"
    try:
        return [
            judge_artefact(
                name,
                champion.directory,
                run.vocabulary,
                run.contest,
                trusted_keys=run.trusted_keys,
            )
        ]
    except ArtefactError as error:
        note(f"The champion, model {champion.version}, counts as absent: {error}")
        return []


def _judge(
    run: Prepared,
    ranker: Ranker,
    folder: Path,
    lineage: dict[str, str],
    reigning: list[Standing],
) -> Judged:
    """The artefact, what is kept beside it, and whether it may become champion."""
    kept = folder / "kept"
    kept.mkdir()
    keep_weights(ranker.model, kept)
    lineage = lineage | {WEIGHTS_DIGEST: sha256_of(kept / WEIGHTS)}
    baselines = judge_baselines(run.counts, run.contest)
    sealed = write_artefact(folder / "artefact", ranker, run, baselines, lineage)
    keep_reference(
        run.home,
        sealed.directory,
        kept,
        since=run.snapshot.test_time,
        until=run.snapshot.newest_time,
    )
    # Where nothing reigns, the most popular is what serving has to offer.
    opponent = (reigning or baselines)[0]
    gains = gains_by_slice(sealed.standing, opponent, run.contest, run.settings.gate_metric)
    verdict = judge(gains, opponent.name, sealed.latency_ms, run.settings)
    return Judged(sealed, kept, [*baselines, *reigning], verdict)


def _reported(publisher: Publisher, run_id: str, run: Prepared, judged: Judged) -> str:
    """The page about the run, which MLflow keeps with it."""
    page = report_on(
        run,
        [*judged.others, judged.sealed.standing],
        f"Training on what happened before {run.snapshot.test_time:%Y-%m-%d %H:%M}",
        reasons=judged.verdict.reasons,
        curves=publisher.curves(run_id),
    )
    publisher.attach(run_id, FILE, page)
    return page
