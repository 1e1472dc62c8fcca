"""Favouring: which candidates of a batch are boosted, pinned or new.

N candidates of all customers, customer by customer
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np

from features.policy.favours import NO_FAVOURS, NOT_PINNED, Favours
from serving.items.axis import ItemAxis
from serving.policy.ranking import Best
from serving.question import Boost, Question


def favours_for(questions: Sequence[Question], best: Best, axis: ItemAxis) -> Favours:
    """Looks at candidates only where something is declared."""
    boosts, pins, news = (
        any(each)
        for each in zip(*((q.boosts, q.pinned, q.new_items) for q in questions), strict=True)
    )
    if not (boosts or pins or news):
        return NO_FAVOURS
    spans = list(pairwise(accumulate(best.count_B, initial=0)))
    parts = [
        (question, best.item_ids[begin:end])
        for question, (begin, end) in zip(questions, spans, strict=True)
    ]
    return Favours(
        np.concatenate([_factors(q.boosts, ids, axis) for q, ids in parts]) if boosts else None,
        np.concatenate([_pins(q.pinned, ids) for q, ids in parts]) if pins else None,
        np.concatenate([_new(q.new_below, ids, axis) for q, ids in parts]) if news else None,
    )


def _factors(boosts: Sequence[Boost], item_ids: Sequence[str], axis: ItemAxis) -> np.ndarray:
    """Boosts of the same item multiply."""
    factor_K = np.ones(len(item_ids))
    if not boosts or not item_ids:
        return factor_K
    places = [axis.place(each) for each in item_ids]
    columns = axis.columns.at(np.array([each or 0 for each in places], np.int64))
    known_K = np.array([each is not None for each in places], bool)
    for each in boosts:
        if each.filter is not None:
            factor_K[known_K & each.filter.mask(columns)] *= each.factor
        elif each.item_id in item_ids:
            factor_K[list(item_ids).index(each.item_id)] *= each.factor
    return factor_K


def _pins(pinned: Sequence[str], item_ids: Sequence[str]) -> np.ndarray:
    at = {item_id: place for place, item_id in enumerate(pinned)}
    return np.array([at.get(each, NOT_PINNED) for each in item_ids], np.int64)


def _new(below: int, item_ids: Sequence[str], axis: ItemAxis) -> np.ndarray:
    new_V, places = axis.new(below), [axis.place(each) for each in item_ids]
    return np.array([each is None or new_V[each] for each in places], bool)
