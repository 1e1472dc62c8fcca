"""A contest in a small shop: what is asked, and an artefact of an untrained model."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from features.artefact import Contract
from features.encoding import SCHEMA_VERSION
from features.item import Item
from features.record import item_hash
from tests.sequences import ITEMS, VOCABULARY, plan, sequences, shoppers
from tests.test_model import trembling
from training.data.questions import Asking, ask, type_index
from training.export.companions import seal, write_companions
from training.export.export import GRAPH, write_graph
from training.export.ranker import Ranker
from training.judging.baselines import Counts, count
from training.judging.examples import Examples, draw
from training.judging.judging import Contest
from training.judging.slices import slices_of
from training.learning.plan import new_model

V, T = len(ITEMS.item_ids), len(VOCABULARY.predicted)
NEW = Item(item_id="new", name="a lamp that nobody has seen")


def counts_of_shop() -> Counts:
    """What the baselines know."""
    return count([sequences(*shoppers(20))], asking(), ITEMS, T)


def asking() -> Any:
    """Any questions."""
    rule = Asking(horizon_ticks=plan().horizon_ticks)
    return partial(ask, types=type_index(VOCABULARY), asking=rule, rng=np.random.default_rng(0))


def contest_of_shop(counts: Counts) -> Contest:
    """Item i5 is as good as unseen, and every fifth arrival is about an item of the future."""
    drawn, drawn_count = draw(
        [sequences(*shoppers(12, seed=1))], asking(), size=60, max_records=100, seed=0
    )
    item_N = drawn.item_N.copy()
    item_N[::5] = item_hash(NEW.item_id)
    arrivals = replace(drawn, item_N=item_N)
    popularity_V = np.where(np.arange(V) == 5, 0, counts.popularity_V)
    return Contest(
        arrivals=arrivals,
        moments=drawn,
        arrival_count=drawn_count,
        moment_count=drawn_count,
        slices=slices_of(arrivals, ITEMS, popularity_V, VOCABULARY),
        items=ITEMS,
        popularity_V=popularity_V,
        described=(NEW, Item(item_id="i5", name="a lamp")),
    )


def write_artefact(
    directory: Path, counts: Counts, examples: Examples, ranker: Ranker | None = None
) -> Path:
    """A whole artefact of an untrained model."""
    ranker = ranker or Ranker(trembling(new_model(plan())))
    write_graph(ranker, directory / GRAPH)
    write_companions(directory, ranker, counts, examples, VOCABULARY, plan().known)
    contract = Contract(
        schema_version=SCHEMA_VERSION,
        vocabulary_digest=VOCABULARY.digest,
        predicted_types=VOCABULARY.predicted,
        max_length=6,
        horizon_days=7.0,
        item_count=V,
        metrics={},
        lineage={},
    )
    seal(directory, contract)
    return directory
