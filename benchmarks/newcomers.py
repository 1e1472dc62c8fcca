"""Where new items are ranked, and what new customers are offered: by a model, and by counting.

N examples   V items   W columns of scores   M new items
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.hidden import Hidden
from features.encoding import ItemIndex
from features.item import Item
from features.record import RECORD, unpack
from training.data.steps import item_indices
from training.judging.answering import Answering, answering, as_unknown
from training.judging.baselines import LITTLE, Counts, named_items
from training.judging.evaluation import ranks
from training.judging.examples import Examples
from training.preparing import Prepared

Ranks = tuple[np.ndarray, np.ndarray]
"""Of each right item (N): among all that the customer has not met, and among the new ones."""


@dataclass(frozen=True, slots=True)
class Asking:
    """New items that came next, to customers who had not met them."""

    examples: Examples
    items: ItemIndex
    hidden: Hidden
    right_N: np.ndarray  # their places among all items
    new_M: np.ndarray  # the places of the new ones


def asking_for_new(run: Prepared, hidden: Hidden) -> Asking:
    """Of the arrivals those at hidden items, as far as the customer has none of that item."""
    arrivals, items = run.contest.arrivals, run.plan.items
    right_N = item_indices(arrivals.item_N, items)
    named = named_items(arrivals, items)
    unmet = [right not in met for right, met in zip(right_N.tolist(), named, strict=True)]
    chosen = np.isin(arrivals.item_N, hidden.hashes) & np.array(unmet)
    at = np.flatnonzero(chosen)
    return Asking(arrivals[at], items, hidden, right_N[at], np.flatnonzero(hidden.item_V))


# ---- New items, by a model ---------------------------------------------------------------------


def ranks_of_new(asking: Asking, directory: Path, run: Prepared, *, fresh: bool) -> Ranks:
    """By a model that had them in its catalog while it learnt; or, if fresh, that had not."""
    described = run.contest.described
    artefact = answering(directory, run.vocabulary, described)
    if fresh:
        names = np.array(asking.items.item_ids)[asking.hidden.item_V]
        artefact = as_unknown(artefact, described, frozenset(names.tolist()))
    pairs = list(_ranks(asking, artefact))
    return np.concatenate([each[0] for each in pairs]), np.concatenate([each[1] for each in pairs])


def _ranks(asking: Asking, artefact: Answering) -> Iterator[Ranks]:
    new_M = artefact.columns(asking.hidden.hashes)
    place_W = np.full(len(artefact.item_ids), -1)
    place_W[new_M] = np.arange(len(new_M))
    for some, score_NW in artefact.scores(asking.examples):
        column_N = artefact.columns(some.item_N)
        new = ranks(score_NW[:, new_M], place_W[column_N])
        met = [artefact.columns(_hashes(history)) for history in some.histories]
        yield ranks(_unmet(score_NW, met), column_N), new


def _hashes(history: bytes) -> np.ndarray:
    hash_L: np.ndarray = unpack(np.frombuffer(history, RECORD)).item
    return hash_L[hash_L != 0]


def _unmet(score_NW: np.ndarray, met: Sequence[np.ndarray]) -> np.ndarray:
    """Each customer's scores without what he or she has met."""
    score_NW = score_NW.astype(np.float64)
    for score_W, columns in zip(score_NW, met, strict=True):
        score_W[columns[columns >= 0]] = -np.inf
    return score_NW


# ---- New items, by counting --------------------------------------------------------------------


def counted_ranks(asking: Asking, counts: Counts, described: tuple[Item, ...]) -> dict[str, Ranks]:
    """By chance, by the popularity of their categories, and by the customers' own categories."""
    category_V = _categories(asking.items, described)
    known_V = ~asking.hidden.item_V
    total_C = np.bincount(category_V[known_V], counts.popularity_V[known_V], category_V.max() + 1)
    count_C = np.bincount(category_V[known_V], minlength=category_V.max() + 1)
    mean_V = (total_C / np.maximum(count_C, 1))[category_V]
    popular_V = np.where(known_V, counts.popularity_V, mean_V) / (counts.popularity_V.max() + 1)
    met = named_items(asking.examples, asking.items)
    own = [np.bincount(category_V[named], minlength=len(count_C))[category_V] for named in met]
    own_NV = np.array(own)
    return {
        "by chance": _at_random(np.zeros_like(own_NV), asking, met),
        "by popularity of the category": _at_random(np.tile(popular_V, (len(met), 1)), asking, met),
        "by the customer's categories": _at_random(own_NV + popular_V, asking, met),
    }


def _categories(items: ItemIndex, described: tuple[Item, ...]) -> np.ndarray:
    """A number for each item's category; those without one share one."""
    category = {each.item_id: each.category for each in described}
    names = np.array([category.get(each, "") for each in items.item_ids])
    return np.unique(names, return_inverse=True)[1]


def _at_random(score_NV: np.ndarray, asking: Asking, met: Sequence[np.ndarray]) -> Ranks:
    """Equals are shuffled for each example."""
    score_NV = score_NV + LITTLE**2 * np.random.default_rng(1).random(score_NV.shape)
    right_N, new_M = asking.right_N, asking.new_M
    new = ranks(score_NV[:, new_M], np.searchsorted(new_M, right_N))
    return ranks(_unmet(score_NV, met), right_N), new


# ---- New customers -----------------------------------------------------------------------------


def ranks_by_channel(counts: Counts, examples: Examples) -> np.ndarray:
    """What most turn to in the channel, then anywhere."""
    popular_V = LITTLE * counts.popularity_V / (counts.popularity_V.max() + 1)
    right_N = item_indices(examples.item_N, counts.items)
    by_channel: Mapping[int, np.ndarray] = counts.popularity_by_channel
    rank_N = np.empty(len(examples))
    for channel in np.unique(examples.channel_N).tolist():
        here = np.flatnonzero(examples.channel_N == channel)
        score_V = by_channel.get(channel, 0) + popular_V
        rank_N[here] = ranks(np.broadcast_to(score_V, (len(here), len(score_V))), right_N[here])
    return rank_N
