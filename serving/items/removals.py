"""Removals: how many items did not compete for a question, by what kept them from it."""

from collections.abc import Iterable, Iterator

import numpy as np

from serving.items.axis import ItemAxis
from serving.items.catalog import Catalog
from serving.items.topics import muted_mask
from serving.question import Question

UNAVAILABLE = "unavailable"
NOT_ASKED_FOR = "not-asked-for"  # only some items were to compete
RULE = "rule"  # of the policy
FILTER = "filter"
OWNED = "owned"
EXCLUDED = "excluded"
MUTED = "muted"
RANKED_LOWER = "ranked-lower"  # by the model: not among the candidates that are valued


def removals(question: Question, catalog: Catalog, considered_count: int) -> dict[str, int]:
    """By each reason in turn; an item counts where it is first kept out."""
    axis = catalog.axis
    open_V = axis.available_V.copy()
    left = int(open_V.sum())
    found = {UNAVAILABLE: len(catalog) - left}
    for reason, kept_V in _sieves(question, axis):
        open_V &= kept_V
        count = left - int(open_V.sum())
        found[reason] = found.get(reason, 0) + count
        left -= count
    found[RANKED_LOWER] = left - considered_count
    return {reason: count for reason, count in found.items() if count > 0}


def _sieves(question: Question, axis: ItemAxis) -> Iterator[tuple[str, np.ndarray]]:
    """What each reason lets through, in the order in which they are looked at."""
    if question.candidates:
        yield NOT_ASKED_FOR, _among(question.candidates, axis)
    for rule in question.rules:
        yield RULE, rule.mask(axis.columns)
    if question.filter is not None:
        yield FILTER, question.filter.mask(axis.columns)
    if question.excluded:
        yield EXCLUDED, ~_among(question.excluded, axis)
    if question.owned:
        yield OWNED, ~_among(question.owned, axis)
    if question.muted:
        yield MUTED, ~muted_mask(question.muted, axis)


def _among(item_ids: Iterable[str], axis: ItemAxis) -> np.ndarray:
    mask_V = np.zeros(len(axis.available_V), bool)
    mask_V[axis.places(item_ids)] = True
    return mask_V
