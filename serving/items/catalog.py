"""The catalog in memory: the items, and where they stand on the item axis of a model."""

from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np

from features.content import Content
from features.encoding import ItemIndex
from features.item import Item
from features.log.contract import ItemChange
from features.record import item_hash
from serving.items.axis import ItemAxis
from serving.items.masks import Masks
from serving.items.moving import Growth, realigned

NO_ITEMS = ItemIndex(())
ITEMS_AT_ONCE = 1000


class Catalog:
    """All items, aligned to one model. One thread writes; model runs read meanwhile."""

    def __init__(
        self,
        items: Iterable[Item],
        model_items: ItemIndex = NO_ITEMS,
        content: Content | None = None,
        *,
        position: int = 0,
    ) -> None:
        """An item that the model knows and the catalog does not hold is not offered.

        With `content`, items that the model does not know compete by their description.
        """
        self.position = position  # up to where the log's changes of items are in it
        self._items: dict[str, Item] = {}
        self.by_hash: dict[int, Item] = {}  # by features.record.item_hash
        self.masks = Masks(ItemAxis(model_items, content))
        self._growth: Growth | None = None
        self.put(items)

    def aligned(self, model_items: ItemIndex, content: Content | None) -> "Catalog":
        """The same items on the axis of another model. Blocks; any thread may do this.

        It lacks what is written to this one meanwhile: it must learn() that before it is used.
        """
        catalog = Catalog((), position=self.position)  # what comes later is learned
        catalog._items, catalog.by_hash = self._items, self.by_hash
        items = list(self._items.values())
        catalog.masks = Masks(realigned(self.axis, items, model_items, content))
        return catalog

    @property
    def axis(self) -> ItemAxis:
        """Where the items stand; replaced by another one as it fills up."""
        return self.masks.axis

    def put(self, items: Iterable[Item]) -> None:
        """Adds items, or replaces them whole; of an item that comes twice the last counts."""
        arriving = iter(items)
        while some := list(islice(arriving, ITEMS_AT_ONCE)):
            self._put({each.item_id: each for each in some})

    def _put(self, items: dict[str, Item]) -> None:
        self._items |= items
        self.by_hash |= {item_hash(each): item for each, item in items.items()}
        if lacking := self.axis.short_by(items.values()):
            self._grow(lacking)
        places = self.axis.put(list(items.values()))
        self.masks.renew(places)
        self._prepare(places)

    def _grow(self, by: int) -> None:
        growth = self._growth
        if growth is None or not growth.fits(by):
            growth = Growth(self.axis, self.holds, by=by)
        self.masks, self._growth = Masks(growth.finish()), None

    def _prepare(self, places: np.ndarray) -> None:
        """Sees to it that there is a longer axis when one is needed."""
        if self._growth is None and Growth.is_due(self.axis):
            self._growth = Growth(self.axis, self.holds)
        if self._growth is not None and self._growth.fits(len(places)):
            self._growth.follow(places)
        else:
            self._growth = None

    def remove(self, item_ids: Iterable[str]) -> None:
        """Takes items out; ids that are not held are passed over."""
        gone = list(item_ids)
        for item_id in gone:
            if self._items.pop(item_id, None) is not None:
                self.by_hash.pop(item_hash(item_id), None)
        self._prepare(self.axis.hide(gone))

    def learn(self, changes: Sequence[ItemChange]) -> None:
        """Follows what the log says has changed, in its order."""
        latest = {each.item_id: each.item for each in changes}
        self.remove(item_id for item_id, item in latest.items() if item is None)
        self.put(item for item in latest.values() if item is not None)
        self.position = changes[-1].position

    def __len__(self) -> int:
        """How many items there are."""
        return len(self._items)

    def holds(self, item_id: str) -> bool:
        """Whether there is such an item."""
        return item_id in self._items

    def name(self, item_id: str) -> str:
        """What people call it; empty where the catalog does not hold it."""
        item = self._items.get(item_id)
        return item.name if item else ""
