"""What contenders are asked, and what the baselines have counted: both from the sequences."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import ray.data

from features.encoding import ItemIndex
from features.item import Item
from features.vocabulary import Vocabulary
from training.data.questions import NONE, Asking, Questions, ask
from training.data.sequences import Sequences, before, in_batches
from training.data.split import Split
from training.data.steps import NO_STEPS, Followers, add_steps, most_frequent
from training.judging import baselines
from training.judging.baselines import Counts
from training.judging.examples import draw
from training.judging.judging import Contest
from training.judging.slices import slices_of
from training.learning.plan import Plan

CUSTOMERS_AT_ONCE = 4096


def count_before_test(dataset: ray.data.Dataset, plan: Plan) -> Counts:
    """What the baselines learn from everything before the test."""
    asking = Asking(horizon_ticks=plan.horizon_ticks)
    rng = np.random.default_rng(plan.settings.seed)
    ask_all = partial(ask, types=plan.types, asking=asking, rng=rng)
    return baselines.count(_learnt(dataset, plan), ask_all, plan.items, plan.type_count)


def count_followers(dataset: ray.data.Dataset, split: Split, items: ItemIndex) -> Followers:
    """What followed each item in all that the model learns from."""
    steps = NO_STEPS
    for sequences in in_batches(dataset, CUSTOMERS_AT_ONCE, split):
        until = [split.learn_until(customer) for customer in sequences.customers]
        steps = add_steps(steps, before(sequences, np.array(until)), items)
    return most_frequent(steps, len(items.item_ids))


def _learnt(dataset: ray.data.Dataset, plan: Plan) -> Iterator[Sequences]:
    for sequences in in_batches(dataset, CUSTOMERS_AT_ONCE, plan.split):
        until = np.full(len(sequences.customers), plan.split.test_tick)
        learnt = before(sequences, until)
        if learnt.customers:
            yield learnt


def draw_contest(
    dataset: ray.data.Dataset,
    plan: Plan,
    counts: Counts,
    vocabulary: Vocabulary,
    described: Iterable[Item],
    *,
    max_records: int,
) -> Contest:
    """Questions from the test part, with as much history as is kept online."""
    settings = plan.settings
    arriving = Asking(
        horizon_ticks=plan.horizon_ticks, since_tick=plan.split.test_tick, arrivals=1.0
    )
    any_moment = replace(arriving, arrivals=0.5)
    drawing = partial(draw, size=settings.examples, max_records=max_records)
    batches = partial(in_batches, dataset, CUSTOMERS_AT_ONCE, plan.split)
    arrivals, arrival_count = drawing(
        batches(), partial(_next_items, plan=plan, asking=arriving, rng=_rng(plan, 1)), seed=1
    )
    moments, moment_count = drawing(
        batches(), partial(ask, types=plan.types, asking=any_moment, rng=_rng(plan, 2)), seed=2
    )
    return Contest(
        arrivals=arrivals,
        moments=moments,
        arrival_count=arrival_count,
        moment_count=moment_count,
        slices=slices_of(arrivals, counts.items, counts.popularity_V, vocabulary),
        items=counts.items,
        popularity_V=counts.popularity_V,
        described=tuple(described),
    )


def _next_items(
    sequences: Sequences, *, plan: Plan, asking: Asking, rng: np.random.Generator
) -> Questions:
    """The questions put as the customer comes, and for an item: each item is asked for once."""
    asked = ask(sequences, plan.types, asking, rng)
    wanted_P = asked.arriving_P & (asked.item_P != 0)
    return replace(asked, type_P=np.where(wanted_P, asked.type_P, NONE))


def _rng(plan: Plan, stream: int) -> np.random.Generator:
    return np.random.default_rng([plan.settings.seed, stream])
