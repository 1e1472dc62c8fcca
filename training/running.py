"""One run: from the history to a judged artefact, and to the champion if it is better."""

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

import ray
import ray.data

from features.artefact import ArtefactError, Contract
from features.encoding import SCHEMA_VERSION
from features.settings import FeatureSettings, Home
from features.vocabulary import Vocabulary, load_vocabulary
from training.data.items import known_items
from training.data.sequences import read_sequences
from training.data.split import Snapshot, take_snapshot
from training.export.companions import seal, write_companions
from training.export.export import GRAPH, check_golden, check_parity, write_graph
from training.export.ranker import Ranker
from training.judging.baselines import Counts
from training.judging.contest import count_before_test, count_followers, draw_contest
from training.judging.judging import Contest, Standing, judge_artefact, judge_baselines
from training.learning.cluster import cluster, fit
from training.learning.loop import load
from training.learning.plan import Plan, make_plan, new_model
from training.learning.progress import Progress, listening
from training.publishing import Champion, Publisher
from training.settings import TrainingError, TrainingSettings

LOCAL = "127.0.0.1"
Showing = Callable[[], AbstractContextManager[Callable[[Progress], None]]]
Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a run works with."""

    home: Home
    vocabulary: Vocabulary
    snapshot: Snapshot
    plan: Plan
    dataset: ray.data.Dataset
    counts: Counts
    contest: Contest


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    standings: list[Standing]
    contest: Contest
    version: str = ""  # what was registered
    crowned: bool = False  # whether it became the champion


@contextmanager
def prepared(features: FeatureSettings, settings: TrainingSettings) -> Iterator[Prepared]:
    """The history under Ray, split by time, with what is asked of contenders."""
    home, vocabulary = Home(features.home), load_vocabulary(features.vocabulary)
    if settings.max_length >= features.max_records:
        text = f"max-length is {settings.max_length}: must be below max-records"
        raise TrainingError(f"{text}, {features.max_records}, the interactions kept online")
    snapshot = take_snapshot(home, vocabulary, test_share=settings.test_share)
    known = known_items(home, before=snapshot.test_time)
    split, rows = snapshot.split, snapshot.learnt_rows
    with cluster():
        dataset = read_sequences(home, vocabulary).materialize()
        followers = count_followers(dataset, split, known.index)
        plan = make_plan(settings, split, known, vocabulary, followers, rows)
        counts = count_before_test(dataset, plan)
        contest = draw_contest(dataset, plan, max_records=features.max_records)
        if not len(contest.arrivals) or not len(contest.moments):
            raise TrainingError(f"{home.history}: nothing after {snapshot.test_time} to judge on")
        yield Prepared(home, vocabulary, snapshot, plan, dataset, counts, contest)


def evaluate(run: Prepared, note: Note) -> Outcome:
    """How the baselines and the champion stand on the test part."""
    standings = judge_baselines(run.counts, run.contest)
    champion = Publisher(run.home).champion()
    if champion is not None:
        standings += _standing_of(champion, run, note)
    return Outcome(standings, run.contest)


def train(run: Prepared, showing: Showing, note: Note) -> Outcome:
    """Trains, judges, registers, and moves the alias if the new model is better."""
    ranker, epochs = _fit(run, showing)
    publisher = Publisher(run.home)
    champion = publisher.champion()
    reigning = [] if champion is None else _standing_of(champion, run, note)
    standings = judge_baselines(run.counts, run.contest)
    with tempfile.TemporaryDirectory(prefix="interplay-") as folder:
        directory = Path(folder) / "artefact"
        parent = champion.version if champion and reigning else ""
        standing = _write_artefact(directory, ranker, run, standings, parent=parent)
        version = publisher.publish(
            directory,
            params=dataclasses.asdict(run.plan.settings),
            epochs=epochs,
            metrics=_metrics(standing, standings),
        )
    crowned = all(standing.ranking.ndcg > each.ranking.ndcg for each in reigning)
    if crowned:
        publisher.crown(version)
    challenger = dataclasses.replace(standing, name=f"model {version}")
    return Outcome([*standings, *reigning, challenger], run.contest, version, crowned)


def _fit(run: Prepared, showing: Showing) -> tuple[Ranker, list[dict[str, float]]]:
    """The trained model at its best epoch, and the metrics of all epochs."""
    name = f"run-{uuid4().hex[:12]}"
    shutil.rmtree(run.home.checkpoints, ignore_errors=True)  # of runs that were cut off
    with showing() as show, listening(_host(), show) as address:
        result = fit(
            run.plan, run.dataset, storage=run.home.checkpoints, name=name, progress=address
        )
    checkpoint = result.get_best_checkpoint("validation_loss", "min")
    if checkpoint is None:
        raise TrainingError(f"the run left no checkpoint: {result.error}")
    model = new_model(run.plan)
    model.load_state_dict(load(checkpoint)["model"])
    shutil.rmtree(run.home.checkpoints, ignore_errors=True)
    ranker = Ranker(model, precision=run.plan.settings.item_precision)
    return ranker, getattr(result, "return_value", None) or []


def _host() -> str:
    """Where workers reach this program; only within this machine if they are all on it."""
    nodes = [node for node in ray.nodes() if node["Alive"]]
    return LOCAL if len(nodes) == 1 else str(ray.util.get_node_ip_address())


def _standing_of(champion: Champion, run: Prepared, note: Note) -> list[Standing]:
    """The champion on this split; one that must not serve counts as absent."""
    name = f"champion, model {champion.version}"
    try:
        return [judge_artefact(name, champion.directory, run.vocabulary, run.contest)]
    except ArtefactError as error:
        note(f"The champion, model {champion.version}, counts as absent: {error}")
        return []


def _write_artefact(
    directory: Path, ranker: Ranker, run: Prepared, baselines: list[Standing], *, parent: str
) -> Standing:
    """Exports and checks the model, judges what was exported, and seals it with its metrics."""
    directory.mkdir()
    write_graph(ranker, directory / GRAPH)
    parity = check_parity(ranker, directory / GRAPH)
    write_companions(
        directory, ranker, run.counts, run.contest.arrivals, run.vocabulary, run.plan.known
    )
    check_golden(directory)
    contract = _contract(run, parent)
    seal(directory, contract)
    standing = judge_artefact("model", directory, run.vocabulary, run.contest)
    metrics = _metrics(standing, baselines) | {"parity": parity}
    seal(directory, dataclasses.replace(contract, metrics=metrics))
    return standing


def _metrics(standing: Standing, baselines: list[Standing]) -> dict[str, float]:
    """The model's own figures, and those of each baseline under its name."""
    return standing.metrics | {
        f"{each.name.lower()}_{name}": value
        for each in baselines
        for name, value in each.metrics.items()
    }


def _contract(run: Prepared, parent: str) -> Contract:
    plan, snapshot = run.plan, run.snapshot
    return Contract(
        schema_version=SCHEMA_VERSION,
        vocabulary_digest=run.vocabulary.digest,
        predicted_types=run.vocabulary.predicted,
        max_length=plan.settings.max_length,
        horizon_days=plan.settings.horizon_days,
        item_count=len(plan.items.item_ids),
        metrics={},
        lineage={
            "interactions": str(snapshot.rows),
            "newest_time": snapshot.newest_time.isoformat(),
            "test_time": snapshot.test_time.isoformat(),
            "history_parts": snapshot.parts_digest,
            "code": version("interplay"),
            "settings": json.dumps(dataclasses.asdict(plan.settings)),
            "parent": parent,
        },
    )
