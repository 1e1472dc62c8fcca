"""The canary: a model that decides for a share of the customers, with the champion behind it.

It runs in a thread of its own, after the champion and never beside it, and is not waited for beyond
what its callers' deadlines leave: where it fails or is late, they get the champion's answer.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import compress

import numpy as np

from features.rollout import Fault, Rollout
from serving.items.catalog import Catalog
from serving.metrics import Metrics
from serving.model.registry import Model
from serving.model.scoring import Asked, Scored, in_runs, popular_instead, run_once, score
from serving.rollout.evidence import Evidence, fault_of

PAIRED = 0.05  # of the customers, at most, are answered by both, to compare how long they take
PATIENCE_S = 0.5  # after that the champion answers
RANDOM = np.random.default_rng()  # of which runs are paired, and who is first in them

logger = logging.getLogger(__name__)

Ask = Callable[[list[Asked]], Awaitable[list[Scored]]]


@dataclass(frozen=True, slots=True)
class Pair:
    """A model, and the catalog on its item axis."""

    model: Model
    catalog: Catalog

    def put(self, asked: Asked) -> Asked:
        """The same question to this model."""
        return replace(asked, model=self.model, catalog=self.catalog)


@dataclass(frozen=True, slots=True)
class Run:
    """What a model made of questions, None where it made nothing, and how long it took."""

    scored: Sequence[Scored | None]
    seconds: float


class Canary:
    """One of them, as long as it is one. One event loop asks it, for one batch at a time."""

    def __init__(
        self,
        rollout: Rollout,
        pair: Pair,
        metrics: Metrics,
        withdraw: Callable[[Rollout, Fault], None],
    ) -> None:
        """`withdraw` is told, once, why it must go."""
        self.rollout, self.pair, self.evidence = rollout, pair, Evidence()
        self._metrics, self._withdraw = metrics, withdraw
        self._thread = ThreadPoolExecutor(1, "canary")  # ends when nobody holds it any more
        self._late: asyncio.Future[list[Scored | None]] | None = None  # waited for no more
        self._late_time = 0.0  # since when
        self._champion_s = 0.0  # what its latest answer took
        self._gone = self._failing = False

    @property
    def is_running(self) -> bool:
        """Whether a run goes on that nobody waits for any more."""
        return self._late is not None and not self._late.done()

    def pairs(self, customer_keys: Sequence[str], champion: Pair) -> list[Pair]:
        """Who answers each of these customers."""
        taken = self.rollout.takes(customer_keys)
        return [self.pair if each else champion for each in taken]

    async def answer(self, asked: Sequence[Asked], champion: Pair, ask: Ask) -> list[Scored]:
        """To each question, by whom it is put to; `ask` asks the champion, and never raises."""
        own_B = [each.model is not champion.model for each in asked]
        others = iter(await ask([each for each, own in zip(asked, own_B, strict=True) if not own]))
        own = iter(await self._answer(list(compress(asked, own_B)), champion, ask))
        return [next(own if is_own else others) for is_own in own_B]

    async def _answer(self, asked: list[Asked], champion: Pair, ask: Ask) -> list[Scored]:
        if not asked:
            return []
        same = [champion.put(each) for each in asked]
        paired = RANDOM.random() < PAIRED / self.rollout.share
        theirs = await self._theirs(same, ask) if paired and RANDOM.random() < 0.5 else None
        own = await self._own(asked)
        if theirs is None and (paired or None in own.scored):
            theirs = await self._theirs(same, ask)
        self._learn(own, theirs, paired=paired)
        answers = own.scored if theirs is None else map(_either, own.scored, theirs.scored)
        every = zip(answers, same, strict=True)
        return [one or popular_instead(question) for one, question in every]

    async def _theirs(self, same: Sequence[Asked], ask: Ask) -> Run:
        """The champion's answers, where there is time for them."""
        now, began = asyncio.get_running_loop().time(), time.perf_counter()
        in_time = [_left_s(each, now) > self._champion_s for each in same]
        scored = iter(await ask(list(compress(same, in_time))))
        seconds = time.perf_counter() - began
        if all(in_time):
            self._champion_s = seconds
        return Run([next(scored) if each else None for each in in_time], seconds)

    async def _own(self, asked: list[Asked]) -> Run:
        """Nothing where it is late, or an earlier run has still not ended."""
        loop, nothing = asyncio.get_running_loop(), Run([None] * len(asked), math.inf)
        now, began = loop.time(), time.perf_counter()  # the loop's is in whole milliseconds
        if self.is_running:
            self._metrics.ran_beside(self.rollout.alias, "busy")
            self.evidence = replace(self.evidence, stuck_s=now - self._late_time)
            return nothing
        running = loop.run_in_executor(self._thread, self._run, asked)
        left_s = min(_left_s(each, now) for each in asked) - self._champion_s
        await asyncio.wait([running], timeout=max(0.0, min(PATIENCE_S, left_s)))
        if not running.done():
            self._late, self._late_time = running, now
            self._count("late", failed=True)
            return nothing
        return Run(running.result(), time.perf_counter() - began)

    def _run(self, asked: Sequence[Asked]) -> list[Scored | None]:
        try:
            scored = in_runs(asked, partial(run_once, metrics=self._metrics), most=len(asked))
            self._failing = False
            return scored
        except Exception as error:  # whatever it is, the champion answers
            if not self._failing:  # one line for an outage, not one for each batch
                version = self.rollout.version
                logger.warning(
                    "model %s, the canary, fails; the champion answers: %r", version, error
                )
            self._failing = True
            return [None] * len(asked)

    async def rescore(self, asked: Sequence[Asked]) -> list[Scored]:
        """As Decider.rescore, of questions that are put to it."""
        work = self._thread.submit(score, asked, metrics=self._metrics)
        return await asyncio.wrap_future(work)

    # ---- What is counted -----------------------------------------------------------------------

    def _learn(self, own: Run, theirs: Run | None, *, paired: bool) -> None:
        """From one run; those that were late or did not begin have been counted."""
        if own.seconds != math.inf:
            failed = theirs is not None and any(map(_is_missed, own.scored, theirs.scored))
            self._count("failed" if failed else "ok", failed=failed)
            self._metrics.took_beside(self.rollout.alias, own.seconds)
            if paired and theirs is not None and _is_whole(own) and _is_whole(theirs):
                self._metrics.took_beside("champion", theirs.seconds)
                self.evidence = self.evidence.after_pair(own.seconds, theirs.seconds)
        fault = fault_of(self.evidence)
        if fault is not None and not self._gone:
            self._gone = True
            self._withdraw(self.rollout, fault)

    def _count(self, ending: str, *, failed: bool) -> None:
        self._metrics.ran_beside(self.rollout.alias, ending)
        self.evidence = self.evidence.after_run(failed=failed)


def as_answered(asked: Sequence[Asked], scored: Sequence[Scored], champion: Pair) -> list[Asked]:
    """What was asked, of whoever has answered in the end."""
    return [
        each if one.version == each.model.version else champion.put(each)
        for each, one in zip(asked, scored, strict=True)
    ]


def _either(own: Scored | None, champion: Scored | None) -> Scored | None:
    return own or champion


def _is_whole(run: Run) -> bool:
    return all(each is not None and not each.popular for each in run.scored)


def _is_missed(own: Scored | None, champion: Scored | None) -> bool:
    """Whether the canary failed where the champion did not, or was not asked for lack of time."""
    return own is None and (champion is None or not champion.popular)


def _left_s(asked: Asked, now: float) -> float:
    deadline = asked.question.deadline
    return math.inf if deadline is None else deadline - now
