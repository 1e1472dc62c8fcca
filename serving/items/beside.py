"""Beside: what competes although the model ranks it below its best: pinned, boosted and new items.

The model is asked once more for them, in further rows of the same run.

R further rows   E masks of the run   V items of the axis
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from serving.items.axis import ItemAxis
from serving.items.eligibility import Eligible
from serving.items.masks import Masks
from serving.question import Boost, Question


@dataclass(frozen=True, slots=True)
class Beside:
    """For which question each row is, which items compete in it, and for how many places."""

    question_R: list[int]
    eligible_RV: np.ndarray
    most_R: list[int]


def beside_for(
    questions: Sequence[Question], masks: Masks, eligible: Eligible, most_B: Sequence[int]
) -> Beside | None:
    """None where the model's best are all that compete."""
    question_R: list[int] = []
    most_R: list[int] = []
    rows = []
    for at, question in enumerate(questions):
        for wanted_V, most in _wanted(question, masks, most_B[at]):
            open_V = wanted_V & eligible.of(at)
            open_V[masks.axis.places(question.left_out)] = False
            if open_V.any():
                question_R.append(at)
                rows.append(open_V)
                most_R.append(min(most, int(open_V.sum())))
    return Beside(question_R, np.stack(rows), most_R) if rows else None


def with_rows(eligible: Eligible, beside: Beside) -> Eligible:
    """The same, and the further rows."""
    first = len(eligible.eligible_EV)
    return Eligible(
        np.concatenate([eligible.eligible_EV, beside.eligible_RV]),
        np.append(eligible.mask_B, first + np.arange(len(beside.question_R))),
        max(eligible.k, *beside.most_R),
    )


def _wanted(question: Question, masks: Masks, most: int) -> Iterator[tuple[np.ndarray, int]]:
    axis = masks.axis
    if question.pinned:
        yield _among(question.pinned, axis), len(question.pinned)
    if question.boosts:
        yield _boosted(question.boosts, masks), most
    if question.new_items:
        yield axis.new(question.new_below), question.new_items


def _among(item_ids: Sequence[str], axis: ItemAxis) -> np.ndarray:
    mask_V = np.zeros(len(axis.available_V), bool)
    mask_V[axis.places(item_ids)] = True
    return mask_V


def _boosted(boosts: Sequence[Boost], masks: Masks) -> np.ndarray:
    mask_V = _among([each.item_id for each in boosts if each.item_id], masks.axis)
    for each in boosts:
        if each.filter is not None:
            mask_V |= masks.of(each.filter)
    return mask_V
