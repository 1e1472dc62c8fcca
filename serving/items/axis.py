"""The item axis of model runs: the items that the model knows, then room for fresh ones.

V items of the axis, fresh ones included   N fresh ones   W rows of terms   D width of a vector
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain

import numpy as np

from features.artefact import ABSENT
from features.content import Content
from features.encoding import FreshIndex, ItemIndex
from features.item import Item
from serving.items.columns import NO_TERM, TEXTS, Columns

LEAST_ROOM = 64
SPARE = 1.25  # of the room that is needed: what has just grown does not grow again at once


class ItemAxis:
    """Which item stands where, and what is known of it there.

    One thread writes. Arrays keep their size, and a place its item, as long as an axis lives, so
    that a model run in another thread may read meanwhile: what no longer fits goes to grown().
    """

    def __init__(
        self, known: ItemIndex, content: Content | None, *, room: int = LEAST_ROOM
    ) -> None:
        """Nothing on it is available yet. Without `content` there are no fresh items."""
        self.known, self._content = known, content
        self.fresh = FreshIndex()  # they stand behind the known ones
        self._fresh_by_id: dict[str, int] = {}
        self._code_by_term: dict[str, int] = {"": 0}
        self.room = room if content is not None else 0
        V = len(known.item_ids) + self.room
        self.available_V = np.zeros(V, bool)
        self._price_V = np.full(V, np.nan)
        self._term_WV = np.zeros((len(TEXTS), V), np.int32)
        width = content.table_GD.shape[1] if content is not None else 0
        self.fresh_ND1 = np.zeros((self.room, width + 1), np.float32)
        self.fresh_ND1[:, -1] = ABSENT

    @property
    def columns(self) -> Columns:
        """What filters read."""
        return Columns(self._term_WV, self._price_V, self._code_by_term)

    def place(self, item_id: str) -> int | None:
        """Where an item stands; None where it does not."""
        known = self.known.index_by_id.get(item_id)
        return self._fresh_by_id.get(item_id) if known is None else known

    def item_ids(self, places: Sequence[int]) -> list[str]:
        """Which items stand at these places."""
        known, fresh = self.known.item_ids, self.fresh.item_ids
        first = len(known)
        return [known[each] if each < first else fresh[each - first] for each in places]

    def places(self, item_ids: Iterable[str]) -> list[int]:
        """Where those of these items stand that do, each once."""
        found = (self.place(each) for each in item_ids)
        return list({each for each in found if each is not None})

    def short_by(self, items: Iterable[Item]) -> int:
        """How many of these items have to find a place, if not all of them can; else 0."""
        if self._content is None:
            return 0
        count = sum(self.place(each.item_id) is None for each in items)
        return count if len(self._fresh_by_id) + count > self.room else 0

    # ---- Writing -------------------------------------------------------------------------------

    def put(self, items: Sequence[Item]) -> np.ndarray:
        """Puts items, each at most once, where they stand, and gives the places."""
        if self._content is not None:
            self._name(each.item_id for each in items if self.place(each.item_id) is None)
        placed = [(at, each) for each in items if (at := self.place(each.item_id)) is not None]
        places = np.array([at for at, _ in placed], np.int64)
        placed_items = [each for _, each in placed]
        self.available_V[places] = False  # until all of it is written
        self._describe(places, placed_items)
        self.available_V[places] = [not each.unavailable for each in placed_items]
        return places

    def _name(self, item_ids: Iterable[str]) -> None:
        for item_id in item_ids:
            self._fresh_by_id[item_id] = len(self.known.item_ids) + len(self.fresh.item_ids)
            self.fresh.add(item_id)

    def _describe(self, places: np.ndarray, items: Sequence[Item]) -> None:
        self._price_V[places] = [np.nan if each.price is None else each.price for each in items]
        width = len(TEXTS) + max((len(each.tags) for each in items), default=0)
        self._widen(width)
        width = len(self._term_WV)
        codes = [self._codes(each, width) for each in items]
        self._term_WV[:, places] = np.array(codes, np.int32).reshape(-1, width).T
        fresh = places - len(self.known.item_ids)
        if self._content is not None and (fresh >= 0).any():
            chosen = [each for each, at in zip(items, fresh, strict=True) if at >= 0]
            self.fresh_ND1[fresh[fresh >= 0]] = self._content.vectors(chosen)

    def _codes(self, item: Item, width: int) -> list[int]:
        terms = chain((item.category, item.brand, item.currency or ""), item.tags)
        codes = [self._code_by_term.setdefault(each, len(self._code_by_term)) for each in terms]
        return codes + [NO_TERM] * (width - len(codes))

    def _widen(self, width: int) -> None:
        lacking = width - len(self._term_WV)
        if lacking > 0:
            self._term_WV = np.pad(self._term_WV, ((0, lacking), (0, 0)), constant_values=NO_TERM)

    def hide(self, item_ids: Iterable[str]) -> None:
        """These are offered no more, but keep their places: histories may still name them."""
        places = np.array(self.places(item_ids), np.int64)
        self.available_V[places] = False
        fresh = places - len(self.known.item_ids)
        self.fresh_ND1[fresh[fresh >= 0], -1] = ABSENT

    def grown(self, held: Callable[[str], bool], *, by: int) -> "ItemAxis":
        """An axis with room for so many more, on which only fresh items that are held remain."""
        kept = [index for index, each in enumerate(self.fresh.item_ids) if held(each)]
        room = LEAST_ROOM
        while room < SPARE * (len(kept) + by):
            room *= 2
        axis, first = ItemAxis(self.known, self._content, room=room), len(self.known.item_ids)
        axis.fresh = self.fresh.only(kept)
        axis._fresh_by_id = {each: first + i for i, each in enumerate(axis.fresh.item_ids)}
        old = np.append(np.arange(first), first + np.array(kept, np.int64))
        axis.available_V[: len(old)] = self.available_V[old]
        axis._price_V[: len(old)] = self._price_V[old]
        axis._code_by_term = self._code_by_term  # it only grows
        axis._widen(len(self._term_WV))
        axis._term_WV[:, : len(old)] = self._term_WV[:, old]
        axis.fresh_ND1[: len(kept)] = self.fresh_ND1[kept]
        return axis
