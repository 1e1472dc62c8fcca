"""Eligibility: which items compete for each question of a batch, in as few masks as it takes.

B questions   E masks   V items of the axis, fresh ones included
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from serving.items.filters import Filter
from serving.items.masks import Masks
from serving.items.topics import muted_mask
from serving.question import Question

OVER_FETCH = 32  # so many excluded items are fetched and left out; more are masked

Competition: TypeAlias = tuple[tuple[str, ...], tuple[Filter, ...], frozenset[str], frozenset[str]]
"""Candidates, filters, what is masked and what muted: who agrees in all of them shares a mask."""


@dataclass(frozen=True, slots=True)
class Eligible:
    """Who competes for whom, and how many the model must rank so that all get theirs."""

    eligible_EV: np.ndarray
    mask_B: np.ndarray
    k: int

    def of(self, at: int) -> np.ndarray:
        """The items that compete for one question, before what is over-fetched is left out."""
        eligible_V: np.ndarray = self.eligible_EV[self.mask_B[at]]
        return eligible_V


def eligible_for(questions: Sequence[Question], masks: Masks, most_B: Sequence[int]) -> Eligible:
    """For so many items each. Masks as of now: what changes later does not change them."""
    competitions: dict[Competition, int] = {}
    mask_B = [competitions.setdefault(_competition(each), len(competitions)) for each in questions]
    eligible_EV = np.empty((len(competitions), len(masks.axis.available_V)), bool)
    for row, competition in enumerate(competitions):
        eligible_EV[row] = _mask(competition, masks)
    each_most = zip(questions, most_B, strict=True)
    k = max(most + len(_over_fetched(each)) for each, most in each_most)
    return Eligible(eligible_EV, np.array(mask_B, np.int64), min(k, eligible_EV.shape[1]))


def _competition(question: Question) -> Competition:
    masked = question.left_out - _over_fetched(question)
    filters = (*question.rules, question.filter) if question.filter else question.rules
    return question.candidates, filters, masked, question.muted


def _over_fetched(question: Question) -> frozenset[str]:
    """Excluded items that share their mask with questions for which they compete."""
    over = not question.candidates and len(question.left_out) <= OVER_FETCH
    return question.left_out if over else frozenset()


def _mask(competition: Competition, masks: Masks) -> np.ndarray:
    candidates, filters, masked, muted = competition
    axis = masks.axis
    eligible_V = axis.available_V
    if candidates:
        eligible_V = np.zeros_like(axis.available_V)
        places = axis.places(candidates)
        eligible_V[places] = axis.available_V[places]
    for filter in filters:
        eligible_V = eligible_V & masks.of(filter)
    if muted:
        eligible_V = eligible_V & ~muted_mask(muted, axis)
    if masked:
        eligible_V = eligible_V.copy()
        eligible_V[axis.places(masked)] = False
    return eligible_V
