"""The shadow: a model that is asked as well in a share of the decisions, and shown to nobody.

It is asked once the answer is there, in a thread of its own, one batch at a time; what comes while
it is busy is passed over. Nothing of it is offered, debited or logged: it is only counted.
"""

import logging
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import numpy as np

from features.rollout import Rollout
from serving.metrics import Aside, Metrics
from serving.model.scoring import Asked, Scored, in_runs, run_once
from serving.policy.considered import Considered
from serving.rollout.canary import Pair

RANDOM = np.random.default_rng()  # of which decisions it is asked in

logger = logging.getLogger(__name__)


class Shadow:
    """One of them, as long as it is one."""

    def __init__(self, rollout: Rollout, pair: Pair, metrics: Metrics) -> None:
        """Starts when it is first asked."""
        self.rollout, self.pair, self._metrics = rollout, pair, metrics
        self._aside = Aside()
        self._thread = ThreadPoolExecutor(1, "shadow")  # ends when nobody holds it any more
        self._running: Future[None] | None = None
        self._failing = False

    def offer(self, asked: Sequence[Asked], scored: Sequence[Scored]) -> None:
        """Decisions that it may be asked in; neither waits nor raises."""
        drawn_B = RANDOM.random(len(asked)) < self.rollout.share
        every = zip(asked, scored, drawn_B, strict=True)
        chosen = [
            (self.pair.put(each), one.considered, each.question.k)
            for each, one, drawn in every
            if drawn and one.considered is not None and not each.question.only_looks
        ]
        if not chosen:
            return
        if self._running is not None and not self._running.done():
            self._metrics.shadowed("dropped", len(chosen))
            return
        questions, shown, counts = zip(*chosen, strict=True)
        self._running = self._thread.submit(self._compare, questions, shown, counts)

    def settle(self) -> None:
        """Blocks until what it was asked is counted."""
        if self._running is not None:
            self._running.result()

    def _compare(
        self, asked: Sequence[Asked], shown: Sequence[Considered], counts: Sequence[int]
    ) -> None:
        began = time.perf_counter()
        try:
            run = partial(run_once, metrics=self._aside)
            scored = in_runs(asked, run, most=len(asked))
            self._failing = False
        except Exception as error:  # whatever it is, the next batch is tried
            if not self._failing:  # one line for an outage, not one for each batch
                logger.warning("model %s, the shadow, fails: %r", self.rollout.version, error)
            self._failing, scored = True, [None] * len(asked)
        self._metrics.took_beside(self.rollout.alias, time.perf_counter() - began)
        for one, other, k in zip(scored, shown, counts, strict=True):
            if one is None or one.considered is None:
                self._metrics.shadowed("failed")
            else:
                self._metrics.shadowed("compared")
                self._metrics.agreed(*agreement(one.considered, other, k))


def agreement(one: Considered, other: Considered, k: int) -> tuple[bool, float]:
    """Whether the item of most value is the same, and which share of the k best is.

    By value, not as offered: what is drawn by lot differs by chance.
    """
    best, others = _best(one, k), _best(other, k)
    most = max(len(best), len(others))
    if not most:
        return True, 1.0
    return best[:1] == others[:1], len({*best} & {*others}) / most


def _best(considered: Considered, k: int) -> list[str]:
    order = np.argsort(-considered.value_K, kind="stable")[:k]
    return [considered.item_ids[at] for at in order.tolist()]
