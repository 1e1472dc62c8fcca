"""Scoring: the questions of a batch become model runs, and what these say becomes ranked items."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.interaction import Interaction
from features.record import TICKS_PER_SECOND
from serving.catalog import Catalog
from serving.metrics import Metrics
from serving.models import Model
from serving.policy import Intents, Ranked, intents_of, most_popular, rank


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What next, for this customer, in this channel, now? Checked before."""

    customer_key: str
    channel: str
    k: int
    candidates: tuple[str, ...] = ()  # empty: every item competes
    excluded: frozenset[str] = frozenset()
    interactions: tuple[Interaction, ...] = ()  # to record first
    deadline: float | None = None  # in the loop's time


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


def score(asked: Sequence[Asked], *, metrics: Metrics) -> list[Scored]:
    """One model run for all whom the same items compete for, and one for each other question."""
    runs: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for at, each in enumerate(asked):
        own = (at,) if each.question.candidates else ()
        runs[id(each.model), id(each.catalog), *own].append(at)
    scored: dict[int, Scored] = {}
    for positions in runs.values():
        scored.update(zip(positions, _run([asked[at] for at in positions], metrics), strict=True))
    return [scored[at] for at in range(len(asked))]


def _run(asked: Sequence[Asked], metrics: Metrics) -> list[Scored]:
    model, catalog = asked[0].model, asked[0].catalog
    scorer, questions = model.scorer, [each.question for each in asked]
    began_ns = time.time_ns()
    metrics.queue_s.observe((began_ns - min(each.asked_ns for each in asked)) / 1e9)
    eligible_V = _eligible(catalog, questions[0])
    k = max(each.k + catalog.known_count(each.excluded) for each in questions)
    with metrics.model_s.time():
        scores = scorer.score(
            [each.history for each in asked],
            [scorer.channel_code(each.channel) for each in questions],
            np.full(len(asked), now_tick()),
            available_V=eligible_V,
            k=min(k, len(eligible_V)),
        )
    types, item_ids = scorer.contract.predicted_types, scorer.items.item_ids
    rows = zip(scores.item_BK, scores.joint_BKT, scores.intent_BU, questions, strict=True)
    with metrics.policy_s.time():
        return [
            Scored(
                rank(
                    item_K,
                    joint_KT,
                    item_ids=item_ids,
                    types=types,
                    eligible_V=eligible_V,
                    excluded=question.excluded,
                    k=question.k,
                ),
                intents_of(intent_U, types),
                began_ns,
                len(asked),
            )
            for item_K, joint_KT, intent_U, question in rows
        ]


def popular(model: Model, catalog: Catalog, question: Question) -> Scored:
    """What most turn to in the channel; for when the model cannot be asked."""
    order = model.popularity.get(question.channel) or model.popularity.get("", [])
    ranked = most_popular(
        order,
        item_ids=model.scorer.items.item_ids,
        eligible_V=_eligible(catalog, question),
        excluded=question.excluded,
        k=question.k,
    )
    return Scored(ranked, ())


def _eligible(catalog: Catalog, question: Question) -> np.ndarray:
    if not question.candidates:
        return catalog.available_V
    return catalog.eligible(question.candidates, question.excluded)


def now_tick() -> int:
    """The present in ticks of features.record."""
    return time.time_ns() * TICKS_PER_SECOND // 10**9
