"""Scoring: the questions of a batch become one model run, and what it says becomes offers."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeVar

import numpy as np

from features.policy.arbitration import Silence, arbitrate
from features.policy.arms import Arm, treatment
from features.policy.worth import expected
from features.record import RECORD_BYTES, TICKS_PER_SECOND
from features.vocabulary import SILENCE
from serving.batching.padding import runs_of
from serving.items.axis import ItemAxis
from serving.items.beside import beside_for, with_rows
from serving.items.catalog import Catalog
from serving.items.eligibility import Eligible, eligible_for
from serving.metrics import Metrics, Stages
from serving.model.registry import Model
from serving.model.scorer import Fresh, Scorer
from serving.policy.considered import Considered, considered
from serving.policy.favouring import favours_for
from serving.policy.ranking import Best, Ranked, best, gathered, most_popular, rank
from serving.policy.terms import Terms
from serving.question import Question
from serving.wire import candidate_intents, reply_intents

RANDOM = np.random.default_rng()  # of what policies draw by lot
MAX_RUNS = 16  # of a batch that fails: enough to tell one culprit of 32 from the others

logger = logging.getLogger(__name__)

A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the model is asked for one question."""

    model: Model
    catalog: Catalog
    question: Question
    history: bytes
    asked_ns: int
    weight_T: np.ndarray  # of each type in the model's ranking
    most: int  # of the model's best compete by value
    terms: Terms | None = None  # by which they do; none where another process lets them
    at_tick: int = 0  # as of when; 0: now
    arm: Arm | None = None  # none outside of experiments

    @property
    def channel(self) -> str:
        """In which the next interaction is foreseen: of a contact, where it leads the customer."""
        channel = self.question.channel
        if not self.question.unasked or self.terms is None:
            return channel
        return self.terms.contact.landing.get(channel, channel)


@dataclass(frozen=True, slots=True)
class Found:
    """What one run of the model has found."""

    best: Best
    version: str  # of the model
    max_length: int  # interactions of a customer that it reads at most
    began_ns: int
    batch_size: int


@dataclass(frozen=True, slots=True)
class Scored:
    """What the model and the policy make of it."""

    ranked: list[Ranked]
    intents: bytes  # see serving.wire
    version: str
    max_length: int
    began_ns: int = 0  # the run of the model, and for how many
    batch_size: int = 0
    popular: bool = False  # whether the model could not run, and popularity alone decided
    silence: Silence | None = None  # why nothing is offered
    detail: str = ""  # more about that
    considered: Considered | None = None  # what the policy has decided on


def score(asked: Sequence[Asked], *, metrics: Metrics) -> list[Scored]:
    """Popularity decides for whom the model cannot run; raises if it can run for nobody."""
    scored = in_runs(asked, lambda some: run_once(some, metrics=metrics), most=len(asked))
    return [one or popular_instead(each) for one, each in zip(scored, asked, strict=True)]


def in_runs(
    asked: Sequence[Asked], run: Callable[[Sequence[Asked]], Sequence[A]], *, most: int
) -> list[A | None]:
    """A run of the model for up to `most` of similar length; where it fails, runs of ever fewer.

    So only the culprits go without: None. Raises what the model raised if there are no others.
    """
    scored: dict[int, A] = {}
    runs, waiting = 0, deque(_runs(asked, most))
    failed: list[int] = []
    failure: Exception | None = None
    while waiting:
        positions, runs = waiting.popleft(), runs + 1
        try:
            answers = run([asked[at] for at in positions])
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
    return [scored.get(at) for at in range(len(asked))]


def _runs(asked: Sequence[Asked], most: int) -> Iterator[list[int]]:
    """Positions of questions for one run each: of one model, and of similar length."""
    groups: dict[tuple[int, int], list[int]] = {}  # several only while the model changes
    for at, each in enumerate(asked):
        groups.setdefault((id(each.model), id(each.catalog)), []).append(at)
    for group in groups.values():
        longest = asked[group[0]].model.scorer.contract.max_length
        lengths = [min(len(asked[at].history) // RECORD_BYTES, longest) for at in group]
        for places in runs_of(lengths):
            run = [group[place] for place in places]
            yield from (run[at : at + most] for at in range(0, len(run), most))


def run_once(asked: Sequence[Asked], *, metrics: Stages) -> list[Scored]:
    """One run of the model, for questions that are all put to the same one."""
    found = find(asked, metrics=metrics)
    with metrics.policy_s.time():
        return tell(found, asked, asked[0].model.scorer.contract.predicted_types)


def find(asked: Sequence[Asked], *, metrics: Stages) -> Found:
    """Runs the model once, for questions that are all put to the same one."""
    model, masks = asked[0].model, asked[0].catalog.masks
    scorer, questions = model.scorer, [each.question for each in asked]
    assert isinstance(scorer, Scorer)  # an outline is for those who ask another process
    began_ns = time.time_ns()
    metrics.queue_s.observe((began_ns - min(each.asked_ns for each in asked)) / 1e9)
    most_B = [each.most for each in asked]
    eligible, rows = eligible_for(questions, masks, most_B), asked
    beside = beside_for(questions, masks, eligible, most_B)
    if beside is not None:
        eligible = with_rows(eligible, beside)
        rows = [*asked, *(asked[at] for at in beside.question_R)]
        most_B += beside.most_R
    with metrics.model_s.time():
        scores = scorer.score(
            [each.history for each in rows],
            [scorer.channel_code(each.channel) for each in rows],
            np.array([each.at_tick or now_tick() for each in rows]),
            eligible_EV=eligible.eligible_EV,
            mask_B=eligible.mask_B,
            weight_BT=np.stack([each.weight_T for each in rows]),
            fresh=Fresh(masks.axis.fresh, masks.axis.fresh_ND1),
            k=eligible.k,
        )
    open_BK = _open(questions, scores.item_BK, eligible, masks.axis)
    axis = masks.axis
    kept = best(
        scores,
        open_BK=open_BK,
        most_B=most_B,
        item_ids=axis.item_ids,
        price_V=axis.columns.price_V,
    )
    if beside is not None:
        kept = gathered(kept, [*range(len(asked)), *beside.question_R])
    return Found(kept, model.version, scorer.contract.max_length, began_ns, len(asked))


def _open(
    questions: Sequence[Question], item_BK: np.ndarray, eligible: Eligible, axis: ItemAxis
) -> np.ndarray:
    """Which of the ranked items may be offered."""
    open_BK: np.ndarray = eligible.eligible_EV[eligible.mask_B[:, None], item_BK]
    for at, each in enumerate(questions):
        if left_out := each.left_out:
            open_BK[at] &= ~np.isin(item_BK[at], axis.places(left_out))
    return open_BK


def tell(found: Found, asked: Sequence[Asked], types: Sequence[str]) -> list[Scored]:
    """What is offered to whom by the policy, in words."""
    terms, best = asked[0].terms, found.best
    assert terms is not None  # or another process would be told
    policy, questions = terms.policy, [each.question for each in asked]
    worth = expected(best.joint_NT, best.price_N, terms.worths)
    muted_N = _muted(questions, best, types)
    k_B = [each.k for each in questions]
    costs = [policy.attention.cost(each.channel, unasked=each.unasked) for each in questions]
    favours = favours_for(questions, best, asked[0].catalog.axis)
    offers = arbitrate(
        worth,
        best.joint_NT.sum(axis=1),
        best.count_B,
        policy=policy,
        cost_B=np.array(costs),
        k_B=k_B,
        random=RANDOM,
        muted_N=muted_N,
        how=treatment([each.arm for each in asked], policy.exploration, k_B),
        favours=favours,
    )
    every_considered = considered(
        best, worth, offers, favours, types=types, costs=costs, muted_N=muted_N
    )
    intents_M = candidate_intents(types, best.joint_NT[offers.at_M])
    every_ranked = rank(best, worth, offers, intents_M, favours)
    every_intents = reply_intents((*types, SILENCE), best.intent_BU)
    run = found.version, found.max_length, found.began_ns, found.batch_size
    return [
        Scored(ranked, intents, *run, silence=silence, considered=each)
        for ranked, intents, silence, each in zip(
            every_ranked, every_intents, offers.silence_B, every_considered, strict=True
        )
    ]


def _muted(questions: Sequence[Question], best: Best, types: Sequence[str]) -> np.ndarray | None:
    """Which candidates most probably lead to a type that their customer has muted."""
    if not any(each.muted_types for each in questions):
        return None
    muted_BT = np.array([[name in each.muted_types for name in types] for each in questions])
    customer_N = np.repeat(np.arange(len(questions)), best.count_B)
    muted_N: np.ndarray = muted_BT[customer_N, best.joint_NT.argmax(axis=1)]
    return muted_N


def popular(model: Model, catalog: Catalog, question: Question) -> Scored:
    """What most turn to in the channel, then anywhere; for when the model cannot be asked.

    Nobody is turned to unasked for it: nothing is known of what it is worth.
    """
    max_length, version = model.scorer.contract.max_length, model.version
    if question.unasked:
        return Scored([], b"", version, max_length, popular=True, silence=Silence.LOW_VALUE)
    masks, by_channel = catalog.masks, model.popularity
    ranked = most_popular(
        chain(
            masks.axis.places(question.pinned),
            by_channel.get(question.channel, ()),
            by_channel.get("", ()),
        ),
        item_ids=masks.axis.item_ids,
        eligible_V=eligible_for([question], masks, [question.k]).of(0),
        excluded=masks.axis.places(question.left_out),
        k=question.k,
    )
    silence = None if ranked else Silence.NOT_ELIGIBLE
    return Scored(ranked, b"", version, max_length, popular=True, silence=silence)


def unwelcome(asked: Asked, silence: Silence, detail: str = "") -> Scored:
    """For a customer who does not want to be turned to; the model is not asked."""
    model = asked.model
    max_length = model.scorer.contract.max_length
    return Scored([], b"", model.version, max_length, silence=silence, detail=detail)


def by_wish(question: Question, asked: Asked, scored: Scored) -> Scored:
    """The same, with the reason that all that might be offered is muted, where that is so.

    `question` is as it was before what is muted was taken out.
    """
    if scored.silence is not Silence.NOT_ELIGIBLE or question is asked.question:
        return scored
    masks = asked.catalog.masks
    open_V = eligible_for([question], masks, [1]).of(0).copy()
    open_V[masks.axis.places(question.left_out)] = False
    return replace(scored, silence=Silence.MUTED) if open_V.any() else scored


def popular_instead(asked: Asked) -> Scored:
    """The same for a question that was to be put to the model."""
    return popular(asked.model, asked.catalog, asked.question)


def now_tick() -> int:
    """The present in ticks of features.record."""
    return time.time_ns() * TICKS_PER_SECOND // 10**9
