"""The batches of a worker: a function of seed, epoch and rank, whatever has happened before."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import ray

from training.data.questions import Asking, ask
from training.data.sequences import Sequences, before, sequences_in
from training.data.split import is_validation
from training.data.windows import Batch, batches
from training.learning.plan import Plan
from training.learning.start import Start, only_new

CUSTOMERS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Stream:
    """A worker's part of the history: every so many of its blocks."""

    plan: Plan
    blocks: Sequence["ray.ObjectRef[pa.Table]"]  # in an order that does not change
    rank: int
    workers: int

    def training(self, epoch: int) -> Iterator[Batch]:
        """All that may be learnt from, in an order that each epoch draws anew."""
        plan = self.plan
        rng = np.random.default_rng([plan.settings.seed, epoch, self.rank])
        asking = Asking(horizon_ticks=plan.horizon_ticks)
        mine = self._mine()
        for sequences in self._sequences([mine[at] for at in rng.permutation(len(mine))]):
            until = [plan.split.learn_until(customer) for customer in sequences.customers]
            yield from self._batches(
                before(sequences, np.array(until)),
                asking,
                rng,
                plan.start,
                without_profile=plan.settings.without_profile,
            )

    def validation(self) -> Iterator[Batch]:
        """The newest part of the history before the test, of the customers who validate."""
        plan = self.plan
        rng = np.random.default_rng([plan.settings.seed, self.rank])
        asking = Asking(horizon_ticks=plan.horizon_ticks, since_tick=plan.split.validation_tick)
        for sequences in self._sequences(self._mine()):
            chosen = [is_validation(customer) for customer in sequences.customers]
            until = np.where(chosen, plan.split.test_tick, 0)
            yield from self._batches(before(sequences, until), asking, rng)

    def _mine(self) -> Sequence["ray.ObjectRef[pa.Table]"]:
        return self.blocks[self.rank :: self.workers]

    def _sequences(self, blocks: Sequence["ray.ObjectRef[pa.Table]"]) -> Iterator[Sequences]:
        for at, block in enumerate(blocks):
            ray.wait(list(blocks[at + 1 : at + 2]), timeout=0)  # begins to fetch the next one
            yield from sequences_in(ray.get(block), CUSTOMERS_AT_ONCE, self.plan.split)

    def _batches(
        self,
        sequences: Sequences,
        asking: Asking,
        rng: np.random.Generator,
        start: Start | None = None,
        *,
        without_profile: float = 0.0,
    ) -> Iterator[Batch]:
        if not sequences.customers:
            return iter(())
        settings, questions = self.plan.settings, ask(sequences, self.plan.types, asking, rng)
        if start:
            questions = only_new(
                questions, sequences, start.learnt, horizon_ticks=asking.horizon_ticks, rng=rng
            )
        return batches(
            sequences,
            questions,
            self.plan.items,
            max_length=settings.max_length,
            positions_a_batch=max(1, settings.positions_a_step // self.workers),
            rng=rng,
            without_profile=without_profile,
        )
