"""Ruling: what the policy adds to a question, by its placement and by what its customer has."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from features.policy.eligibility import MAX_PINNED
from features.record import RECORD, unpack
from serving.items.asker import Asker
from serving.items.catalog import Catalog
from serving.items.columns import Always
from serving.items.filters import Filter
from serving.policy.rules import OwnedTerms, PlacementTerms, Rules
from serving.question import Question


def ruled(
    question: Question, rules: Rules, history: bytes, catalog: Catalog, *, now_tick: int
) -> Question:
    """The question with all that competes, and that does not, by the policy."""
    placement = rules.placements.get(question.placement)
    if question.only_looks or (placement is None and not rules.everywhere and not question.filter):
        return question
    if placement is not None:
        question = _placed(question, placement)
    declared = (rules.rule, placement.filter if placement is not None else None)
    owned = frozenset[str]()
    if rules.owned is not None and history:
        owned = owned_items(rules.owned, history, catalog, now_tick=now_tick)
    return replace(
        question,
        filter=question.filter.of(question.asker) if question.filter else None,
        rules=tuple(_bound(declared, question.asker)),
        owned=owned,
        new_items=rules.new_items,
        new_below=rules.new_below,
    )


def _placed(question: Question, placement: PlacementTerms) -> Question:
    """What the request says comes before what the place does."""
    pinned = tuple(dict.fromkeys((*question.pinned, *placement.pinned)))
    return replace(
        question,
        k=min(question.k, placement.most or question.k),
        excluded=question.excluded | placement.excluded,
        boosts=(*question.boosts, *placement.boosts),
        pinned=pinned[:MAX_PINNED],
    )


def _bound(declared: Iterable[Filter | None], asker: Asker) -> Iterable[Filter]:
    """Those that keep something out."""
    for each in declared:
        if each is not None and (filter := each.of(asker)).condition != Always(True):
            yield filter


def owned_items(
    terms: OwnedTerms, history: bytes, catalog: Catalog, *, now_tick: int
) -> frozenset[str]:
    """What the customer has come to have and not given back, and may not have again."""
    known = unpack(np.frombuffer(history, RECORD))  # oldest first
    had, given_back = terms.had[known.type], terms.given_back[known.type]
    tells = (had | given_back) & (known.tick > now_tick - terms.ticks)
    last = dict(zip(known.item[tells].tolist(), had[tells].tolist(), strict=True))
    held = (catalog.by_hash.get(item) for item, has in last.items() if has)
    item_ids = [each.item_id for each in held if each is not None]
    if not item_ids or terms.unless is None:
        return frozenset(item_ids)
    places = catalog.axis.places(item_ids)
    again = terms.unless.mask(catalog.axis.columns.at(np.array(places, np.int64)))
    return frozenset(catalog.axis.item_ids(np.array(places)[~again].tolist()))
