"""The decider: one question becomes one decision. Record, read, score, rank."""

import asyncio
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum

from features.interaction import Purpose
from features.measures.customers import Measures
from features.measures.decision_log import DecisionLog, Sample
from features.online.store import NOTHING_KNOWN
from features.privacy.consent import MAX_CONSENT_RECORDS, Consent, consent_of, consent_records
from features.record import RECORD_BYTES, merge, pack
from features.settings import Home
from serving.batcher import Batcher, BatchError, Run, in_thread
from serving.catalog import Catalog
from serving.engine_link import EngineLink
from serving.errors import NoModelError
from serving.memory import Memory
from serving.metrics import Metrics
from serving.models import Model
from serving.policy import Intents, Ranked
from serving.question import Question
from serving.scorer import Scorer
from serving.scoring import Asked, Scored, now_tick, popular, score
from serving.settings import ServingSettings
from serving.tracing import part, tag

PERSONALIZATION, MEASUREMENT = Purpose.PERSONALIZATION, Purpose.MEASUREMENT


class Degradation(Enum):
    """How much of its way an answer could go."""

    NONE = 1
    WITHOUT_FEATURES = 2
    POPULARITY = 3
    INCOMPLETE_FEATURES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer, and what it is based on."""

    decision_id: str
    ranked: list[Ranked]
    intents: Intents
    model_version: str
    interactions_seen: int
    newest_tick: int | None
    staleness_s: float
    degradation: Degradation
    profiled: bool  # whether the customer's history was allowed to count


@dataclass(frozen=True, slots=True)
class _Remembered:
    """What of a customer counts in an answer."""

    history: bytes
    consent: Consent
    degradation: Degradation


class Decider:
    """Decides with the model in use, which may change at any time."""

    def __init__(
        self,
        memory: Memory,
        settings: ServingSettings,
        metrics: Metrics,
        engine: EngineLink | None = None,
    ) -> None:
        """Starts without a model: see use(). An engine, where there is one, runs it."""
        self._engine = engine
        self._metrics, self._note_depth = metrics, metrics.depth_of("model")
        self.model: Model | None = None
        self._memory = memory
        self._assumed = settings.assumed
        self.how_to_train = f"to train one: python -m training train --home {settings.home}"
        self._log = DecisionLog(
            Home(settings.home).decisions,
            Measures(memory.vocabulary, settings.max_records),
            share=settings.log_share,
        )
        self._thread = ThreadPoolExecutor(1, "model")
        self._scoring: Batcher[Asked, Scored] = Batcher(
            in_thread(self._thread, self._score) if engine is None else self._score_by(engine),
            max_batch=settings.max_batch,
            max_queue=settings.max_queue,
        )

    def use(self, model: Model, catalog: Catalog) -> None:
        """Answers with this model from now on; calls in flight end with theirs."""
        self.model, self._memory.catalog = model, catalog
        if isinstance(model.scorer, Scorer):
            model.scorer.on_run = self._metrics.ran
        self._metrics.serves(model.version, model.scorer.provider)

    async def decide(self, question: Question) -> Decision:
        """The decision, degraded where it must be and labelled so."""
        if self.model is None:
            raise NoModelError(f"no model serves; {self.how_to_train}")
        model, catalog = self.model, self._memory.catalog
        began_ns = time.time_ns()
        remembered = await self._remember(question)
        part("features", began_ns)
        degradation, profiled = remembered.degradation, self._allows(remembered, PERSONALIZATION)
        history = remembered.history if profiled else b""
        decision_id = uuid.uuid4().hex
        if degradation is Degradation.NONE and self._allows(remembered, MEASUREMENT):
            staleness_s = self._memory.staleness_s()
            self._log.offer(
                Sample(
                    decision_id,
                    question.customer_key,
                    now_tick(),
                    staleness_s,
                    remembered.history,
                )
            )
        try:
            scored = await self._scoring.ask(
                Asked(model, catalog, question, history, asked_ns := time.time_ns()),
                deadline=question.deadline,
                lane=question.channel,
                length=self._length(model, history),
            )
            if scored.batch_size:  # the model has run
                part("queue", asked_ns, scored.began_ns)
                part("model", scored.began_ns, batch_size=scored.batch_size)
        except BatchError:
            scored = popular(model, catalog, question)
        if scored.popular:
            history, degradation = b"", Degradation.POPULARITY
        staleness_s = self._memory.staleness_s()
        self._metrics.decided(degradation.name, staleness_s)
        tag(model_version=scored.version, degradation=degradation.name)
        return Decision(
            decision_id=decision_id,
            ranked=scored.ranked,
            intents=scored.intents,
            model_version=scored.version,
            interactions_seen=min(len(history) // RECORD_BYTES, scored.max_length),
            newest_tick=_newest_tick(history),
            staleness_s=staleness_s,
            degradation=degradation,
            profiled=profiled,
        )

    def _length(self, model: Model, history: bytes) -> int:
        """By which questions run apart; an engine is told of all that wait at once."""
        if self._engine is not None:
            return 0
        return min(len(history) // RECORD_BYTES, model.scorer.contract.max_length)

    def _score(self, asked: Sequence[Asked]) -> list[Scored]:
        self._note_depth(self._scoring.waiting)
        return score(asked, metrics=self._metrics)

    def _score_by(self, engine: EngineLink) -> Run[Asked, Scored]:
        async def run(asked: Sequence[Asked]) -> Sequence[Scored]:
            self._note_depth(self._scoring.waiting)
            return await engine.score(asked)

        return run

    def _allows(self, remembered: _Remembered, purpose: Purpose) -> bool:
        return remembered.consent.allows(purpose, assumed=self._assumed)

    async def _remember(self, question: Question) -> _Remembered:
        """Records what came along, then reads; what came along counts in any case."""
        memory, vocabulary = self._memory, self._memory.vocabulary
        if question.interactions:
            await memory.log(question.interactions, deadline=question.deadline)
            await memory.apply(within_s=memory.read_s)
        own = b"".join(pack(each, vocabulary) for each in question.interactions)
        said = b"".join(consent_records(each, vocabulary) for each in question.interactions)
        try:
            seen = await memory.read(question.customer_key, deadline=question.deadline)
            known = seen.known
            degradation = Degradation.NONE if seen.whole else Degradation.INCOMPLETE_FEATURES
        except BatchError:
            known, degradation = NOTHING_KNOWN, Degradation.WITHOUT_FEATURES
        history = merge(known.history, own, max_records=memory.max_records)
        consent = merge(known.consent, said, max_records=MAX_CONSENT_RECORDS)
        return _Remembered(history, consent_of(consent, vocabulary), degradation)

    async def close(self) -> None:
        """Finishes what waits."""
        await self._scoring.drain()
        self._thread.shutdown()
        await asyncio.to_thread(self._log.close)


def _newest_tick(history: bytes) -> int | None:
    """The time of the last record: the upper 40 bits of its head, see features.record."""
    return int.from_bytes(history[-RECORD_BYTES:][:5], "big") if history else None
