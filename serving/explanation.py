"""An explanation: why a decision is what it is, in fields, and in words that a person understands.

K candidates of the decision
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from features.decisions.decision import NOT_OFFERED, LoggedDecision
from features.held import Held
from features.policy.arms import Arm
from features.vocabulary import Initiator
from serving.explanation_words import (
    ARM,
    CHOSEN,
    DRAWN,
    ITEM,
    KEPT_OUT,
    LIKELIER,
    OFFERED,
    SILENT,
    WITHHELD,
)
from serving.items.removals import MUTED
from serving.recording import FLOOR, LOW_VALUE, OUTRANKED

LEAST_TOLD = 5e-5  # of what moves a score: less would be told as 0.00%
LEAST_LIKELY, LEAST_WORTH = 1e-3, 5e-4  # less is not told in figures
LEAST_SURE = 0.5  # propensity below which an item stands where it stands by lot

Influences: TypeAlias = Sequence[tuple[Held, float]]
"""Interactions, and by how much each raised the score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """All that is told of a decision."""

    decision: LoggedDecision
    names: Mapping[str, str]  # of items, in the catalog now
    endings: Sequence[str]  # K: what became of each candidate
    item_id: str  # that was asked about; empty where none was
    item_ending: str
    influenced: str  # the item whose score was moved; empty where nothing can be told
    influences: Influences
    exact: bool  # whether the history that moved it is surely the one that counted
    why_none: str  # why no influences can be told; empty where they can

    @property
    def item_sentence(self) -> str:
        """About the item that was asked about."""
        if not self.item_id:
            return ""
        if self.item_ending == OFFERED:
            return f"{self.name(self.item_id)} was offered."
        _, outranked = _outranked(self.decision)
        reason = {**ITEM, OUTRANKED: outranked}.get(self.item_ending, self.item_ending)
        return f"{self.name(self.item_id)} was not offered: {reason}."

    def name(self, item_id: str) -> str:
        """What people call it, if anything."""
        return self.names.get(item_id) or item_id

    def sentences(self) -> list[str]:
        """All of it in words."""
        told = [
            _asked(self),
            _compared(self.decision),
            *_ranked(self),
            *_kept_out(self),
            self.item_sentence,
        ]
        return [each for each in (*told, *_influences(self)) if each]


def endings_of(decision: LoggedDecision) -> list[str]:
    """What became of each candidate (K)."""
    candidates = decision.candidates
    return [
        OFFERED
        if position != NOT_OFFERED
        else MUTED
        if muted
        else FLOOR
        if customer < decision.customer_floor
        else LOW_VALUE
        if value <= 0 and decision.arm != Arm.PROPENSITY_ONLY
        else WITHHELD
        if decision.reason
        else OUTRANKED
        for position, muted, customer, value in zip(
            candidates.position_K.tolist(),
            candidates.muted_K.tolist(),
            candidates.customer_K.tolist(),
            candidates.value_K.tolist(),
            strict=True,
        )
    ]


def _asked(explanation: Explanation) -> str:
    decision = explanation.decision
    where = f"{decision.channel} ({decision.placement})" if decision.placement else decision.channel
    turned = (
        f"the company considered turning to the customer by {where}"
        if decision.initiator == Initiator.COMPANY
        else f"{where} asked what to offer"
    )
    when = f"{decision.decide_time:%Y-%m-%d %H:%M:%S} UTC"
    if decision.reason:
        why = SILENT.get(decision.reason, decision.reason)
        detail = f" ({decision.detail})" if decision.detail else ""
        return f"At {when} {turned}. Nothing was offered: {why}{detail}."
    return f"At {when} {turned}. {_count(decision.considered_count)} considered."


def _compared(decision: LoggedDecision) -> str:
    """Where the customer is decided for in another way."""
    does = next((does for arm, does in ARM.items() if arm == decision.arm), "")
    return f"For comparison (experiment {decision.experiment}) the customer {does}." if does else ""


def _ranked(explanation: Explanation) -> list[str]:
    decision = explanation.decision
    if decision.reason:
        return []
    if not decision.types:
        return ["The model could not run: the most popular items of the channel were offered."]
    candidates, told = decision.candidates, []
    for at, ending in enumerate(explanation.endings):
        if ending != OFFERED:
            break
        score = float(candidates.probability_KT[at].sum())
        item_id = candidates.item_ids[at]
        lot = " It stood there by lot." if _by_lot(decision, at) else ""
        if item_id in decision.boosts:
            lot = f" Its value is multiplied by {decision.boosts[item_id]:g}.{lot}"
        if item_id in decision.pinned_item_ids:
            lot = f" It is pinned there.{lot}"
        sides = candidates.value_K[at], candidates.customer_K[at], candidates.company_K[at]
        both, customer, company = map(_worth, sides)
        likely = f"{score:.1%}" if score >= LEAST_LIKELY else f"less than {LEAST_LIKELY:.1%}"
        told.append(
            f"{at + 1}. {explanation.name(item_id)}: {likely} likely to be what "
            f"the customer turned to next; worth {both}, to the customer {customer}, "
            f"to the company {company}.{lot}"
        )
    return told


def _worth(value: float) -> str:
    return f"{value:.3g}" if abs(value) >= LEAST_WORTH else "next to nothing"


def _by_lot(decision: LoggedDecision, at: int) -> bool:
    return bool(0 < decision.candidates.propensity_K[at] < LEAST_SURE)


def _outranked(decision: LoggedDecision) -> tuple[str, str]:
    """Why items that might have been offered were not: of several, and of one."""
    if decision.arm == Arm.PROPENSITY_ONLY:
        return LIKELIER
    offered = np.flatnonzero(decision.candidates.position_K != NOT_OFFERED).tolist()
    return DRAWN if any(_by_lot(decision, at) for at in offered) else CHOSEN


def _kept_out(explanation: Explanation) -> list[str]:
    removed, decision = explanation.decision.removed, explanation.decision
    outranked, _ = _outranked(decision)
    why_kept = {**KEPT_OUT, OUTRANKED: outranked}
    told = [f"{count:,} {why_kept.get(why, why)}" for why, count in removed.items()]
    if not told:
        return []
    rule = f" The filter was: {decision.filter}" if decision.filter else ""
    return [f"Items that were not offered: {'; '.join(told)}.{rule}"]


def _influences(explanation: Explanation) -> list[str]:
    if explanation.why_none:
        return [f"Which past interactions moved the score cannot be told: {explanation.why_none}."]
    about = "" if explanation.exact else " (of the history as it is held now)"
    found = [each for each in explanation.influences if abs(each[1]) >= LEAST_TOLD]
    if not found:
        item = explanation.name(explanation.influenced)
        return [f"No past interaction alone moved the score of {item} by as much as 0.01%{about}."]
    return [
        f"{_told(held)} {'raised' if change > 0 else 'lowered'} the score of "
        f"{explanation.name(explanation.influenced)} by {abs(change):.2%}{about}."
        for held, change in found
    ]


def _told(held: Held) -> str:
    about = f" of {held.item.name or held.item.item_id}" if held.item else ""
    what = f"The {held.type or 'interaction'}{about}"
    return f"{what} ({held.channel}, {held.event_time:%Y-%m-%d %H:%M} UTC)"


def _items(count: int) -> str:
    return f"{count:,} item" if count == 1 else f"{count:,} items"


def _count(count: int) -> str:
    return f"{_items(count)} {'was' if count == 1 else 'were'}"
