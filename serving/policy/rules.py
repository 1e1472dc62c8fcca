"""Rules: what follows from the eligibility that a policy declares, its filters compiled once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from features.declared import Misfit, Place
from features.policy.declaration import Policy
from features.policy.eligibility import Owned, Placement
from features.vocabulary import Vocabulary
from serving.items.filters import Filter, FilterError, parse_filter
from serving.policy.budget import TICKS_PER_DAY
from serving.policy.contact_terms import types_of
from serving.question import Boost


@dataclass(frozen=True, slots=True)
class OwnedTerms:
    """By type code: whether one comes to have an item by it, or has it no more."""

    had: np.ndarray
    given_back: np.ndarray
    unless: Filter | None
    ticks: int


@dataclass(frozen=True, slots=True)
class PlacementTerms:
    """What holds in one place."""

    filter: Filter | None
    excluded: frozenset[str]
    boosts: tuple[Boost, ...]
    pinned: tuple[str, ...]
    most: int | None


@dataclass(frozen=True, slots=True)
class Rules:
    """Made once for a policy."""

    rule: Filter | None
    owned: OwnedTerms | None
    placements: Mapping[str, PlacementTerms]
    new_items: int  # so many that are new compete in any case
    new_below: int  # new is also what the model knows from fewer interactions

    @property
    def everywhere(self) -> bool:
        """Whether anything is declared beside single placements."""
        return self.rule is not None or self.owned is not None or self.new_items > 0


def rules_of(policy: Policy, vocabulary: Vocabulary) -> Rules:
    """Raises FilterError; see faulty_rules."""
    owned = policy.eligibility.owned
    return Rules(
        _filter(policy.eligibility.rule),
        _owned(owned, vocabulary) if owned.types else None,
        {name: _placement(each) for name, each in policy.placements.items()},
        policy.pool if policy.exploration.share and policy.exploration.new_items else 0,
        policy.exploration.new_below,
    )


def _owned(owned: Owned, vocabulary: Vocabulary) -> OwnedTerms:
    had, given_back = types_of(owned.types, vocabulary), types_of(owned.given_back, vocabulary)
    return OwnedTerms(had, given_back, _filter(owned.unless), int(owned.days * TICKS_PER_DAY))


def _placement(declared: Placement) -> PlacementTerms:
    return PlacementTerms(
        _filter(declared.filter),
        frozenset(declared.exclude),
        tuple(Boost(_filter(each.filter), each.item, each.factor) for each in declared.boost),
        tuple(dict.fromkeys(declared.pin)),
        declared.most,
    )


def _filter(text: str) -> Filter | None:
    return parse_filter(text) if text else None


def faulty_rules(policy: Policy, vocabulary: Vocabulary) -> list[Misfit]:
    """Filters that are none, and types that the vocabulary does not have."""
    return [*_faulty_filters(policy), *_strange_types(policy.eligibility.owned, vocabulary)]


def _faulty_filters(policy: Policy) -> Iterator[Misfit]:
    for place, text in _filters(policy):
        try:
            _filter(text)
        except FilterError as error:
            yield Misfit(place, text, str(error))


def _filters(policy: Policy) -> Iterator[tuple[Place, str]]:
    eligibility = policy.eligibility
    yield ("eligibility", "rule"), eligibility.rule
    yield ("eligibility", "owned", "unless"), eligibility.owned.unless
    for name, placement in policy.placements.items():
        yield ("placements", name, "filter"), placement.filter
        for at, each in enumerate(placement.boost):
            yield ("placements", name, "boost", at, "filter"), each.filter


def _strange_types(owned: Owned, vocabulary: Vocabulary) -> Iterator[Misfit]:
    named = [("types", owned.types)]
    if "given_back" in owned.model_fields_set:  # what is built in is passed over
        named.append(("given_back", owned.given_back))
    for name, types in named:
        for at, each in enumerate(types):
            if each not in vocabulary.types:
                place = ("eligibility", "owned", name, at)
                yield Misfit(place, each, "must be a type of the vocabulary")
