"""Scoring: the questions of a batch become one model run, and what it says becomes ranked items."""

import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from features.record import TICKS_PER_SECOND
from serving.catalog import Catalog
from serving.eligibility import Eligible, eligible_for
from serving.item_axis import ItemAxis
from serving.metrics import Metrics
from serving.models import Model
from serving.policy import Intents, Ranked, intents_of, most_popular, rank
from serving.question import Question
from serving.scorer import Fresh, Scores

MAX_RUNS = 16  # of a batch that fails: enough to tell one culprit of 32 from the others

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the model is asked for one question."""

    model: Model
    catalog: Catalog
    question: Question
    history: bytes
    asked_ns: int


@dataclass(frozen=True, slots=True)
class Scored:
    """What the model and the policy make of it."""

    ranked: list[Ranked]
    intents: Intents
    began_ns: int = 0  # the run of the model, and for how many
    batch_size: int = 0
    popular: bool = False  # whether the model could not run, and popularity alone decided


def score(asked: Sequence[Asked], *, metrics: Metrics) -> list[Scored]:
    """One model run; where it fails, runs of ever fewer, so that only the culprits go without.

    Raises what the model raised if it cannot run for anyone.
    """
    scored: dict[int, Scored] = {}
    runs, waiting = 0, deque(_by_model(asked))
    failed: list[int] = []
    failure: Exception | None = None
    while waiting:
        positions, runs = waiting.popleft(), runs + 1
        try:
            answers = _run([asked[at] for at in positions], metrics)
            scored.update(zip(positions, answers, strict=True))
        except Exception as error:  # what fails for one must not fail for all
            failure = error
            half = len(positions) // 2
            if half and runs + len(waiting) < MAX_RUNS:
                waiting += [positions[:half], positions[half:]]
            else:
                failed += positions
    if failure is not None and not scored:
        raise failure
    if failed:
        logger.warning("%d of %d questions cannot be scored: %s", len(failed), len(asked), failure)
    scored |= {at: _popular_instead(asked[at]) for at in failed}
    return [scored[at] for at in range(len(asked))]


def _by_model(asked: Sequence[Asked]) -> list[list[int]]:
    """Positions of questions for one run; there are several runs only while models change."""
    groups: dict[tuple[int, int], list[int]] = {}
    for at, each in enumerate(asked):
        groups.setdefault((id(each.model), id(each.catalog)), []).append(at)
    return list(groups.values())


def _run(asked: Sequence[Asked], metrics: Metrics) -> list[Scored]:
    model, masks = asked[0].model, asked[0].catalog.masks
    scorer, questions = model.scorer, [each.question for each in asked]
    began_ns = time.time_ns()
    metrics.queue_s.observe((began_ns - min(each.asked_ns for each in asked)) / 1e9)
    eligible = eligible_for(questions, masks)
    with metrics.model_s.time():
        scores = scorer.score(
            [each.history for each in asked],
            [scorer.channel_code(each.channel) for each in questions],
            np.full(len(asked), now_tick()),
            eligible_EV=eligible.eligible_EV,
            mask_B=eligible.mask_B,
            fresh=Fresh(masks.axis.fresh, masks.axis.fresh_ND1),
            k=eligible.k,
        )
    with metrics.policy_s.time():
        types = scorer.contract.predicted_types
        ranked = _rank(scores, questions, eligible, masks.axis, types)
        intents = intents_of(scores.intent_BU, types)
        return [Scored(*each, began_ns, len(asked)) for each in zip(ranked, intents, strict=True)]


def _rank(
    scores: Scores,
    questions: Sequence[Question],
    eligible: Eligible,
    axis: ItemAxis,
    types: Sequence[str],
) -> list[list[Ranked]]:
    open_BK = eligible.eligible_EV[eligible.mask_B[:, None], scores.item_BK]
    for at, each in enumerate(questions):
        if each.excluded:
            open_BK[at] &= ~np.isin(scores.item_BK[at], axis.places(each.excluded))
    return rank(
        scores.item_BK,
        scores.joint_BKT,
        open_BK=open_BK,
        k_B=[each.k for each in questions],
        item_ids=axis.item_ids,
        types=types,
    )


def popular(model: Model, catalog: Catalog, question: Question) -> Scored:
    """What most turn to in the channel, then anywhere; for when the model cannot be asked."""
    masks, by_channel = catalog.masks, model.popularity
    ranked = most_popular(
        chain(by_channel.get(question.channel, ()), by_channel.get("", ())),
        item_ids=masks.axis.item_ids,
        eligible_V=eligible_for([question], masks).of(0),
        excluded=masks.axis.places(question.excluded),
        k=question.k,
    )
    return Scored(ranked, (), popular=True)


def _popular_instead(asked: Asked) -> Scored:
    return popular(asked.model, asked.catalog, asked.question)


def now_tick() -> int:
    """The present in ticks of features.record."""
    return time.time_ns() * TICKS_PER_SECOND // 10**9
