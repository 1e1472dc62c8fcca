"""The decider: one question becomes one decision. Record, read, score, rank."""

import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import compress

from features.decisions.decision import new_decision_id
from features.interaction import Purpose
from features.policy.arbitration import Silence
from features.policy.arms import Arm, arms_of
from features.record import RECORD_BYTES
from serving.batching.batcher import Batcher, Run, in_thread
from serving.contacts import pay, restrained, spends
from serving.decision import Decision
from serving.engine.link import EngineLink
from serving.errors import NoModelError
from serving.items.catalog import Catalog
from serving.items.topics import Topics, muting
from serving.memory import Memory
from serving.metrics import Metrics
from serving.model.registry import Model
from serving.model.scorer import Scorer
from serving.model.scoring import (
    Asked,
    Scored,
    by_wish,
    now_tick,
    popular_instead,
    score,
    unwelcome,
)
from serving.policy.terms import Terms
from serving.policy.wishes import declined
from serving.question import Question
from serving.recording import Decided, Recorder
from serving.remembering import Degradation, Remembered, remember
from serving.rollout.canary import Canary, Pair, as_answered
from serving.rollout.shadow import Shadow
from serving.ruling import ruled
from serving.settings import ServingSettings
from serving.tracing import part, tag

PERSONALIZATION, MEASUREMENT = Purpose.PERSONALIZATION, Purpose.MEASUREMENT
CONTACT = Purpose.CONTACT
OFFER = "OFFER"  # the action of a decision that is not silent

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Answer:
    """A decision, and when its batch began to be read, and had been."""

    decision: Decision
    scored: Scored
    read_ns: tuple[int, int]  # time.time_ns()


class Decider:
    """Decides with the model in use, which may change at any time."""

    def __init__(
        self,
        memory: Memory,
        settings: ServingSettings,
        metrics: Metrics,
        terms: Terms,
        engine: EngineLink | None = None,
    ) -> None:
        """Starts without a model: see use(). An engine, where there is one, runs it."""
        self.terms = terms  # which may change at any time
        self._engine = engine
        self._metrics, self._note_depth = metrics, metrics.depth_of("decisions")
        self.model: Model | None = None
        self.canary: Canary | None = None
        self.shadow: Shadow | None = None
        self._failing = False  # whether the latest batch could not be scored
        self._memory = memory
        self.topics = Topics()
        self._assumed, self._max_batch = settings.assumed, settings.max_batch
        self.how_to_train = f"to train one: python -m training train --home {settings.home}"
        self.recorder = Recorder(settings, memory.vocabulary, metrics)
        self._thread = ThreadPoolExecutor(1, "model")
        self._score: Run[Asked, Scored] = (
            in_thread(self._thread, partial(score, metrics=metrics))
            if engine is None
            else engine.score
        )
        self._batcher: Batcher[Question, _Answer] = Batcher(
            self._answer_all, max_batch=settings.max_batch, max_queue=settings.max_queue
        )

    def use(self, model: Model, catalog: Catalog) -> None:
        """Answers with this model from now on; calls in flight end with theirs."""
        self.model, self._memory.catalog = model, catalog
        if isinstance(model.scorer, Scorer):
            model.scorer.on_run = self._metrics.ran
        self.tell_provider()

    def tell_provider(self) -> None:
        """Which model answers, and what runs it, as it may have changed."""
        if self.model is not None:
            self._metrics.serves(self.model.version, self.model.scorer.provider)

    async def decide(self, question: Question) -> Decision:
        """The decision, degraded where it must be and labelled so."""
        if self.model is None:
            raise NoModelError(f"no model serves; {self.how_to_train}")
        if question.interactions:
            await self._memory.log(question.interactions, deadline=question.deadline)
            await self._memory.apply(within_s=self._memory.read_s)
        asked_ns = time.time_ns()
        answer = await self._batcher.ask(
            question, deadline=question.deadline, lane=question.channel
        )
        decision, scored = answer.decision, answer.scored
        part("queue", asked_ns, answer.read_ns[0])
        part("features", *answer.read_ns)
        if scored.batch_size:  # the model has run
            part("model", scored.began_ns, batch_size=scored.batch_size)
        silence = decision.silence
        action = OFFER if silence is None else silence.name
        if not question.only_looks:
            self._metrics.decided(decision.degradation.name, action, decision.staleness_s)
            self._metrics.compared(decision.arm, action)
        tag(model_version=decision.model_version, degradation=decision.degradation.name)
        return decision

    async def _answer_all(self, questions: Sequence[Question]) -> list[_Answer]:
        """One read and one call of the model for all of them."""
        assert self.model is not None  # or nobody would have come so far
        champion, canary = Pair(self.model, self._memory.catalog), self.canary
        catalog, terms = champion.catalog, self.terms
        self._note_depth(self._batcher.waiting)
        began_ns = time.time_ns()
        ledgers = any(spends(each, terms) for each in questions)
        remembered = await remember(questions, self._memory, ledgers=ledgers)
        arm_B = self._arms(questions, remembered, terms)
        every = zip(remembered, arm_B, strict=True)
        history_B, tick = [self._counting(*each) for each in every], now_tick()
        ruled_B = [
            ruled(question, terms.rules, history, catalog, now_tick=tick)
            for question, history in zip(questions, history_B, strict=True)
        ]
        pair_B = [champion] * len(questions)
        if canary is not None:
            pair_B = canary.pairs([each.customer_key for each in remembered], champion)
        asked = [
            Asked(
                *(pair.model, pair.catalog, self._wished(question, each), history),
                *(began_ns, terms.weight_in(arm), max(question.k, terms.policy.pool), terms),
                arm=arm,
            )
            for pair, question, each, history, arm in zip(
                pair_B, ruled_B, remembered, history_B, arm_B, strict=True
            )
        ]
        read_ns = began_ns, time.time_ns()
        refused_B = [self._silence(*each) for each in zip(asked, remembered, strict=True)]
        open_B = [each is None for each in refused_B]
        opened, score_all = list(compress(asked, open_B)), self._score_all
        answered = canary.answer(opened, champion, score_all) if canary else score_all(opened)
        scored = iter(await answered)
        results = [
            refused or by_wish(question, each, next(scored))
            for question, each, refused in zip(ruled_B, asked, refused_B, strict=True)
        ]
        if canary is not None:
            asked = as_answered(asked, results, champion)
        decision_ids = [new_decision_id() for _ in questions]
        results = await pay(decision_ids, asked, remembered, results, self._memory)
        answers = [
            _Answer(self._decision(*each), each[-1], read_ns)
            for each in zip(decision_ids, remembered, asked, results, strict=True)
        ]
        if self.shadow is not None:
            self.shadow.offer(asked, results)
        return answers

    def _arms(
        self, questions: Sequence[Question], remembered: Sequence[Remembered], terms: Terms
    ) -> list[Arm | None]:
        """Of those who let decisions be analysed, and are offered something."""
        arm_B = arms_of(terms.policy.experiment, [each.customer_key for each in remembered])
        return [
            arm if not question.only_looks and self._allows(each, MEASUREMENT) else None
            for question, each, arm in zip(questions, remembered, arm_B, strict=True)
        ]

    def _wished(self, question: Question, remembered: Remembered) -> Question:
        """Without what the customer has muted."""
        preferences, catalog = remembered.consent.preferences, self._memory.catalog
        if not preferences.muted:
            return question
        types = self._memory.vocabulary.predicted
        return muting(question, preferences, catalog, self.topics.of(catalog), types)

    def _silence(self, asked: Asked, remembered: Remembered) -> Scored | None:
        """The answer where the customer is not to be turned to, here and now, or else None."""
        question = asked.question
        if question.unasked and not self._allows(remembered, CONTACT):
            return unwelcome(asked, Silence.NO_CONSENT)
        declining = declined(question, remembered.consent.preferences, now_tick())
        if declining is None and question.unasked and asked.arm is Arm.NO_CONTACT:
            declining = Silence.HOLDOUT
        return unwelcome(asked, declining) if declining else restrained(asked, remembered)

    async def _score_all(self, asked: list[Asked]) -> list[Scored]:
        """By popularity where the model cannot be asked."""
        if not asked:
            return []
        try:
            scored = await self._score(asked)
            self._failing = False
            return list(scored)
        except Exception as error:  # whatever it is, whoever waits gets an answer
            if not self._failing:  # one line for an outage, not one for each batch
                logger.warning("the model cannot be asked; popularity answers: %r", error)
            self._failing = True
            return [popular_instead(each) for each in asked]

    async def rescore(self, asked: Sequence[Asked]) -> list[Scored]:
        """What the model makes of questions beside those that customers ask; raises what it does.

        In as few runs as it takes.
        """
        starts, canary = range(0, len(asked), self._max_batch), self.canary
        runs = [asked[at : at + self._max_batch] for at in starts]
        own = canary is not None and asked[0].model is canary.pair.model
        score_some = canary.rescore if canary is not None and own else self._score
        return [each for some in runs for each in await score_some(some)]

    def pair_of(self, version: str) -> Pair | None:
        """The model of this version, if it answers anybody."""
        if self.canary is not None and self.canary.rollout.version == version:
            return self.canary.pair
        if self.model is not None and self.model.version == version:
            return Pair(self.model, self._memory.catalog)
        return None

    def _counting(self, remembered: Remembered, arm: Arm | None) -> bytes:
        """The history, as far as the customer allows that it counts, and the arm lets it."""
        return remembered.history if self._profiles(remembered, arm) else b""

    def _profiles(self, remembered: Remembered, arm: Arm | None) -> bool:
        return self._allows(remembered, PERSONALIZATION) and (arm is None or arm.profiles)

    def _decision(
        self, decision_id: str, remembered: Remembered, asked: Asked, scored: Scored
    ) -> Decision:
        history, staleness_s = asked.history, self._memory.staleness_s()
        if scored.popular:
            history, degradation = b"", Degradation.POPULARITY
        else:
            degradation = remembered.degradation
        decision = Decision(
            decision_id=decision_id,
            ranked=scored.ranked,
            intents=scored.intents,
            model_version=scored.version,
            interactions_seen=min(len(history) // RECORD_BYTES, scored.max_length),
            newest_tick=_newest_tick(history),
            staleness_s=staleness_s,
            degradation=degradation,
            profiled=self._profiles(remembered, asked.arm),
            policy_version=asked.terms.policy.version if asked.terms else "",
            experiment=asked.terms.policy.experiment.name if asked.terms and asked.arm else "",
            arm=asked.arm or "",
            silence=scored.silence,
            detail=scored.detail,
        )
        if not asked.question.only_looks:
            measured = self._allows(remembered, MEASUREMENT)
            self.recorder.record(Decided(decision, asked, scored, measured), remembered.history)
        return decision

    def _allows(self, remembered: Remembered, purpose: Purpose) -> bool:
        return remembered.consent.allows(purpose, assumed=self._assumed)

    async def close(self) -> None:
        """Finishes what waits."""
        await self._batcher.drain()
        self._thread.shutdown()
        await self.recorder.close()


def _newest_tick(history: bytes) -> int | None:
    """The time of the last record: the upper 40 bits of its head, see features.record."""
    return int.from_bytes(history[-RECORD_BYTES:][:5], "big") if history else None
