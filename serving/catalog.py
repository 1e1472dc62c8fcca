"""The catalog in memory: names, and which of a model's items may be offered."""

from collections.abc import Iterable

import numpy as np

from features.encoding import ItemIndex
from features.item import Item
from features.record import item_hash

NO_ITEMS = ItemIndex(())


class Catalog:
    """All items, aligned to the item axis V of one model."""

    def __init__(
        self, items: Iterable[Item], model_items: ItemIndex = NO_ITEMS, *, position: int = 0
    ) -> None:
        """An item that the model knows and the catalog does not hold is not offered."""
        self.position = position  # up to where the log's changes of items are in it
        self._items: dict[str, Item] = {}
        self.by_hash: dict[int, Item] = {}  # by features.record.item_hash
        self._index = model_items.index_by_id
        self.available_V = np.zeros(len(model_items.item_ids), bool)
        self.put(items)

    def put(self, items: Iterable[Item]) -> None:
        """Adds items, or replaces them whole."""
        for item in items:
            self._items[item.item_id] = self.by_hash[item_hash(item.item_id)] = item
            self._set_available(item.item_id, not item.unavailable)

    def remove(self, item_ids: Iterable[str]) -> None:
        """Takes items out; ids that are not held are passed over."""
        for item_id in item_ids:
            if self._items.pop(item_id, None) is not None:
                self.by_hash.pop(item_hash(item_id), None)
                self._set_available(item_id, False)

    def _set_available(self, item_id: str, available: bool) -> None:
        index = self._index.get(item_id)
        if index is not None:
            self.available_V[index] = available

    def holds(self, item_id: str) -> bool:
        """Whether there is such an item."""
        return item_id in self._items

    def name(self, item_id: str) -> str:
        """What people call it; empty where the catalog does not hold it."""
        item = self._items.get(item_id)
        return item.name if item else ""

    def eligible(self, candidates: Iterable[str], excluded: frozenset[str]) -> np.ndarray:
        """Availability, over V, where only these candidates compete."""
        only_V = np.zeros_like(self.available_V)
        for item_id in candidates:
            index = self._index.get(item_id)
            if index is not None and item_id not in excluded:
                only_V[index] = self.available_V[index]
        return only_V

    def known_count(self, item_ids: Iterable[str]) -> int:
        """How many of these the model can score."""
        return sum(item_id in self._index for item_id in item_ids)
