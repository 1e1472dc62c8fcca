"""What a run works with: the history under Ray, split by time, and what contenders are asked."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import ray.data
from mlflow.exceptions import MlflowException

from features.artefact import ArtefactError, verify
from features.manifest import sha256_of
from features.record import moment
from features.settings import FeatureSettings, Home
from features.vocabulary import Vocabulary, load_vocabulary
from training.data.items import catalog_of, known_items
from training.data.sequences import in_order, read_sequences
from training.data.split import Snapshot, count_rows, take_snapshot
from training.judging.baselines import Counts
from training.judging.contest import count_before_test, count_followers, draw_contest
from training.judging.judging import Contest
from training.learning.cluster import cluster
from training.learning.plan import Plan, make_plan, new_model
from training.learning.start import (
    EPOCHS,
    REPLAYED,
    SLOWER,
    WEIGHTS,
    WEIGHTS_DIGEST,
    Start,
    start_from,
)
from training.publishing import Publisher
from training.settings import TrainingError, TrainingSettings

SHAPE = ("width", "heads", "blocks", "max_length", "reach")
Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a run works with."""

    home: Home
    vocabulary: Vocabulary
    snapshot: Snapshot
    settings: TrainingSettings
    plan: Plan  # its settings are those of a warm start, if it is one
    dataset: ray.data.Dataset
    counts: Counts
    contest: Contest
    trusted_keys: str = ""  # who must have signed a champion that counts


@contextmanager
def prepared(
    features: FeatureSettings, settings: TrainingSettings, note: Note = print
) -> Iterator[Prepared]:
    """The history under Ray, split by time, with what is asked of contenders."""
    settings = settings.as_meant()
    home = Home(features.home, features.tracking_url, features.tenant)
    vocabulary = load_vocabulary(features.vocabulary)
    if settings.max_length >= features.max_records:
        text = f"max-length is {settings.max_length}: must be below max-records"
        raise TrainingError(f"{text}, {features.max_records}, the interactions kept online")
    snapshot = take_snapshot(home, vocabulary, test_share=settings.test_share)
    keys = features.trusted_keys
    start = None
    if settings.warm_start:
        start = find_start(home, vocabulary, settings, note, trusted_keys=keys)
    first, buckets = (start.item_ids, start.buckets) if start else ((), 0)
    known = known_items(home, before=snapshot.test_time, first=first, buckets=buckets)
    with cluster():
        dataset = in_order(read_sequences(home, vocabulary))
        followers = count_followers(dataset, snapshot.split, known.index)
        rows = snapshot.learnt_rows
        plan = make_plan(settings, snapshot.split, known, vocabulary, followers, rows)
        if start:
            plan = warmed(plan, start, home, note)
        counts = count_before_test(dataset, plan)
        described = catalog_of(home).values()
        contest = draw_contest(
            dataset, plan, counts, vocabulary, described, max_records=features.max_records
        )
        if not len(contest.arrivals) or not len(contest.moments):
            raise TrainingError(f"{home.history}: nothing after {snapshot.test_time} to judge on")
        yield Prepared(home, vocabulary, snapshot, settings, plan, dataset, counts, contest, keys)


# ---- A warm start ------------------------------------------------------------------------------


def find_start(
    home: Home,
    vocabulary: Vocabulary,
    settings: TrainingSettings,
    note: Note,
    *,
    trusted_keys: str = "",
) -> Start | None:
    """The champion, if its weights fit what is to be trained; else None, and a note says why."""
    publisher = Publisher(home)
    champion = publisher.champion()
    if champion is None:
        note("There is no champion to begin with: this is a full training.")
        return None
    try:
        contract = verify(champion.directory, vocabulary, trusted_keys=trusted_keys)
        theirs = json.loads(contract.lineage["settings"])
        for name in SHAPE:
            if theirs[name] != getattr(settings, name):
                ours = f"{theirs[name]}, not {getattr(settings, name)}"
                raise ArtefactError(f"its {name.replace('_', '-')} is {ours}")
        kept = publisher.kept(champion.version)
        if sha256_of(kept / WEIGHTS) != contract.lineage[WEIGHTS_DIGEST]:  # the artefact vouches
            raise ArtefactError(f"{kept / WEIGHTS} does not match its sha256 in the artefact")
        return start_from(champion.version, champion.directory, kept)
    except (ArtefactError, KeyError, OSError, MlflowException) as error:
        reason = f"its {error} is not known" if isinstance(error, KeyError) else str(error)
        note(f"A full training: model {champion.version} is nothing to begin with: {reason}")
        return None


def warmed(plan: Plan, start: Start, home: Home, note: Note) -> Plan:
    """The plan that begins with these weights, and learns what is new since then."""
    grown = start.grown(len(plan.items.item_ids))
    if misfits := grown.misfits(new_model(plan)):
        note(f"A full training: model {start.version} differs in {', '.join(misfits)}")
        return plan
    settings = plan.settings
    since = moment(start.learnt.test_tick - plan.horizon_ticks)
    new = count_rows(home, since=since, before=moment(plan.split.test_tick))
    learnt = new + REPLAYED * (plan.position_count - new)
    return replace(
        plan,
        settings=replace(settings, epochs=EPOCHS, learning_rate=SLOWER * settings.learning_rate),
        position_count=max(1, round(learnt)),
        start=grown,
    )
