"""Histories in which some items and customers came only with the test: cold starts, made.

V items
"""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from benchmarks.newest import dataset_of, occurring
from features.record import RECORD, item_hashes, unpack
from training.data.items import KnownItems, catalog_of
from training.data.split import Split
from training.judging.contest import count_before_test, count_followers, draw_contest
from training.learning.plan import make_plan
from training.preparing import Prepared


@dataclass(frozen=True, slots=True)
class Hidden:
    """What is left out of the history until the test."""

    item_V: np.ndarray  # bool
    hashes: np.ndarray  # of these items
    customers: frozenset[str]


def hide(run: Prepared, share: float, *, max_records: int) -> tuple[Prepared, Hidden]:
    """The same run, but for what is hidden: a share of the items and of the customers.

    Items are those that occur before the test. The hidden ones stay in the catalog, described.
    """
    history = pa.concat_tables(run.dataset.iter_batches(batch_size=None, batch_format="pyarrow"))
    split, names = run.snapshot.split, history["customer"].to_pylist()
    known = occurring(run.plan.known, history, split)
    hidden = draw_hidden(known, names, share, run.settings.seed)
    kept = [
        without_hidden(records, hidden, split, name in hidden.customers)
        for name, records in zip(names, history["records"].to_pylist(), strict=True)
    ]
    rows = sum(int((unpack(each).tick < split.test_tick).sum()) for each in kept)
    dataset = dataset_of(history["customer"], [each.tobytes() for each in kept])
    followers = count_followers(dataset, split, known.index)
    plan = make_plan(run.settings, split, known, run.vocabulary, followers, rows)
    counts = count_before_test(dataset, plan)
    catalog = catalog_of(run.home)
    described = [catalog[each] for each in known.index.item_ids if each in catalog]
    contest = draw_contest(
        dataset, plan, counts, run.vocabulary, described, max_records=max_records
    )
    return replace(run, plan=plan, dataset=dataset, counts=counts, contest=contest), hidden


def draw_hidden(known: KnownItems, customers: list[str], share: float, seed: int) -> Hidden:
    """Which items and customers, the same for the same seed."""
    rng = np.random.default_rng(seed)
    item_V = rng.random(len(known.index.item_ids)) < share
    drawn = rng.random(len(customers)) < share
    return Hidden(
        item_V,
        item_hashes(known.index.item_ids)[item_V],
        frozenset(np.array(customers)[drawn].tolist()),
    )


def without_hidden(history: bytes, hidden: Hidden, split: Split, is_hidden: bool) -> np.ndarray:
    """A customer's records; before the test none of a hidden customer, or about a hidden item."""
    records = np.frombuffer(history, RECORD)
    columns = unpack(records)
    absent = np.isin(columns.item, hidden.hashes) | is_hidden
    kept: np.ndarray = records[(columns.tick >= split.test_tick) | ~absent]
    return kept
