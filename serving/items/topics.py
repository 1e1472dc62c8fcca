"""Topics of the catalog: which of them a customer has muted, and what that takes out of a question.

V items of the axis
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from features.privacy.preferences import Preferences, topic_key
from features.topic import Kind, Topic, parse_topic
from features.vocabulary import Vocabulary
from serving.items.axis import ItemAxis
from serving.items.catalog import Catalog
from serving.items.columns import TEXTS, OneOf
from serving.question import Question

OF_ITEMS = (Kind.CATEGORY, Kind.BRAND)
Keyed = dict[int, Topic]
"""Topics by the keys that stand for them, see features.privacy.preferences."""


class Topics:
    """Finds the names behind the keys of categories and brands. One thread."""

    def __init__(self) -> None:
        """Has looked at no catalog yet; takes the time for it when something is muted."""
        self._terms: Mapping[str, int] = {}
        self._keyed: dict[int, Topic] = {}
        self._count = 0

    def of(self, catalog: Catalog) -> Keyed:
        """All of a catalog."""
        terms = catalog.axis.columns.code_by_term
        if terms is not self._terms:
            self._terms, self._keyed, self._count = terms, {}, 0
        if self._count < len(terms):
            new = list(terms)[self._count :]  # terms only become more; another thread may add some
            every = (Topic(kind, term) for term in new for kind in OF_ITEMS)
            self._keyed.update((topic_key(each), each) for each in every)
            self._count += len(new)
        return self._keyed


def muting(
    question: Question,
    preferences: Preferences,
    catalog: Catalog,
    keyed: Keyed,
    types: Iterable[str],
) -> Question:
    """The question without what its customer has muted of items and (of these) types."""
    if not preferences.muted:
        return question
    of_kind = preferences.muted.items()
    items = (catalog.by_hash.get(key) for key, kind in of_kind if kind is Kind.ITEM)
    terms = (keyed.get(key) for key, kind in of_kind if kind in OF_ITEMS)
    return replace(
        question,
        excluded=question.excluded | {each.item_id for each in items if each is not None},
        muted=frozenset(str(each) for each in terms if each is not None),
        muted_types=frozenset(each for each in types if preferences.mutes(Topic(Kind.TYPE, each))),
    )


def muted_mask(muted: Iterable[str], axis: ItemAxis) -> np.ndarray:
    """Which items are of one of these categories and brands (V)."""
    topics = [parse_topic(each) for each in muted]
    mask_V = np.zeros(len(axis.available_V), bool)
    for kind in OF_ITEMS:
        terms = tuple(each.name for each in topics if each.kind is kind)
        if terms:
            mask_V |= OneOf(TEXTS.index(kind), terms).mask(axis.columns)
    return mask_V


def named(
    preferences: Preferences, catalog: Catalog, keyed: Keyed, vocabulary: Vocabulary
) -> list[Topic]:
    """What is muted, by kind and name; one that nothing here knows has no name."""
    known = dict(keyed)
    for kind, names in ((Kind.TYPE, vocabulary.types), (Kind.CHANNEL, vocabulary.channels)):
        known.update((topic_key(each), each) for each in (Topic(kind, name) for name in names))
    items = catalog.by_hash
    found = [
        Topic(kind, items[key].item_id if key in items else "")
        if kind is Kind.ITEM
        else known.get(key, Topic(kind))
        for key, kind in preferences.muted.items()
    ]
    return sorted(found, key=str)
