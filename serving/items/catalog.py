"""The catalog in memory: the items, and where they stand on the item axis of a model."""

from collections.abc import Iterable, Sequence
from itertools import islice

from features.content import Content
from features.encoding import ItemIndex
from features.item import Item
from features.log.contract import ItemChange
from features.record import item_hash
from serving.items.axis import ItemAxis
from serving.items.masks import Masks

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
        self.put(items)

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
            self.masks = Masks(self.axis.grown(self._items.__contains__, by=lacking))
        self.masks.renew(self.axis.put(list(items.values())))

    def remove(self, item_ids: Iterable[str]) -> None:
        """Takes items out; ids that are not held are passed over."""
        for item_id in item_ids:
            if self._items.pop(item_id, None) is not None:
                self.by_hash.pop(item_hash(item_id), None)
                self.axis.hide([item_id])

    def learn(self, changes: Sequence[ItemChange]) -> None:
        """Follows what the log says has changed, in its order."""
        latest = {each.item_id: each.item for each in changes}
        self.remove(item_id for item_id, item in latest.items() if item is None)
        self.put(item for item in latest.values() if item is not None)
        self.position = changes[-1].position

    def holds(self, item_id: str) -> bool:
        """Whether there is such an item."""
        return item_id in self._items

    def name(self, item_id: str) -> str:
        """What people call it; empty where the catalog does not hold it."""
        item = self._items.get(item_id)
        return item.name if item else ""
