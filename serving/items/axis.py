"""The item axis of model runs: the items that the model knows, then room for fresh ones.

V items of the axis, fresh ones included   N fresh ones   W rows of terms   D width of a vector
"""

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np

from features.artefact import ABSENT
from features.content import Content
from features.encoding import FreshIndex, ItemIndex
from features.item import Item
from serving.items.columns import NO_TERM, TEXTS, Columns

LEAST_ROOM = 64


class ItemAxis:
    """Which item stands where, and what is known of it there.

    One thread writes. Arrays keep their size, and a place its item, as long as an axis lives, so
    that a model run in another thread may read meanwhile: see moving for what no longer fits.
    """

    def __init__(
        self,
        known: ItemIndex,
        content: Content | None,
        *,
        room: int = LEAST_ROOM,
        width: int = len(TEXTS),
        blank: bool = True,
    ) -> None:
        """Nothing on it is available yet. Without `content` there are no fresh items.

        `width` is W, which grows with the tags. Whoever wants it not blank must call clear() for
        all of its room, and take() for all known items, before it is used.
        """
        self.known, self.content = known, content
        self.fresh = FreshIndex()  # they stand behind the known ones
        self._fresh_by_id: dict[str, int] = {}
        self._code_by_term: dict[str, int] = {"": 0}
        self.room = room if content is not None else 0
        V = len(known.item_ids) + self.room
        self.available_V = np.zeros(V, bool)
        self._new: tuple[int, np.ndarray] | None = None  # below which bound, and which items
        self._price_V = np.full(V, np.nan) if blank else np.zeros(V)
        self._term_WV = np.zeros((width, V), np.int32)
        columns = content.table_GD.shape[1] if content is not None else 0
        self.fresh_ND1 = np.zeros((self.room, columns + 1), np.float32)
        if blank:
            self.clear(slice(0, self.room))

    def longer(self, room: int) -> "ItemAxis":
        """One that is not blank, for the same known items and as many terms."""
        width = len(self._term_WV)
        axis = ItemAxis(self.known, self.content, room=room, width=width, blank=False)
        axis.share_terms(self)
        return axis

    def share_terms(self, other: "ItemAxis") -> None:
        """Codes are the same on both from now on: they only become more."""
        self._code_by_term = other._code_by_term

    def clear(self, rows: slice) -> None:
        """No fresh item stands in these rows of the room."""
        first = len(self.known.item_ids)
        self._price_V[first + rows.start : first + rows.stop] = np.nan
        self._term_WV[len(TEXTS) :, first + rows.start : first + rows.stop] = NO_TERM
        self.fresh_ND1[rows, -1] = ABSENT

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

    def new(self, below: int) -> np.ndarray:
        """Which items (V) are new to the model: fresh, or known from too few interactions.

        It never changes, and is kept: not to be written to.
        """
        kept = self._new  # another thread may ask for another policy
        if kept is not None and kept[0] == below:
            return kept[1]
        new_V, count_V = np.ones(len(self.available_V), bool), self.known.count_V
        new_V[: len(self.known.item_ids)] = False if count_V is None else count_V < below
        self._new = below, new_V
        return new_V

    def short_by(self, items: Iterable[Item]) -> int:
        """How many of these items have to find a place, if not all of them can; else 0."""
        if self.content is None:
            return 0
        count = sum(self.place(each.item_id) is None for each in items)
        return count if len(self._fresh_by_id) + count > self.room else 0

    # ---- Writing -------------------------------------------------------------------------------

    def put(self, items: Sequence[Item]) -> np.ndarray:
        """Puts items, each at most once, where they stand, and gives the places."""
        if self.content is not None:
            self.add(each.item_id for each in items if self.place(each.item_id) is None)
        placed = [(at, each) for each in items if (at := self.place(each.item_id)) is not None]
        places = np.array([at for at, _ in placed], np.int64)
        placed_items = [each for _, each in placed]
        self.available_V[places] = False  # until all of it is written
        self._describe(places, placed_items)
        self.available_V[places] = [not each.unavailable for each in placed_items]
        return places

    def add(self, item_ids: Iterable[str]) -> None:
        """Gives places to fresh items that have none."""
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
        self.embed(places, items)

    def embed(self, places: np.ndarray, items: Sequence[Item]) -> None:
        """Makes the vectors of those of the items that are fresh."""
        fresh = places - len(self.known.item_ids)
        if self.content is not None and (fresh >= 0).any():
            chosen = [each for each, at in zip(items, fresh, strict=True) if at >= 0]
            self.fresh_ND1[fresh[fresh >= 0]] = self.content.vectors(chosen)

    @property
    def used(self) -> int:
        """How many rows of the room are, those of fresh items that have gone included."""
        return len(self.fresh.item_ids)

    @property
    def live(self) -> int:
        """How many fresh items stand here that have not gone."""
        return int((self.fresh_ND1[: self.used, -1] != np.float32(ABSENT)).sum())

    def adopt(self, other: "ItemAxis", rows: Sequence[int]) -> None:
        """Gives places to fresh items of another axis that have none here."""
        first = len(self.known.item_ids) + self.used
        ids = [other.fresh.item_ids[each] for each in rows]
        self._fresh_by_id.update(zip(ids, range(first, first + len(ids)), strict=True))
        self.fresh.take(other.fresh, rows)

    def take(self, other: "ItemAxis", there: np.ndarray, here: np.ndarray) -> None:
        """What another axis that shares its terms says of items; all but their vectors."""
        term_WV = other._term_WV  # another thread may widen it
        self._widen(len(term_WV))
        self._term_WV[:, here] = term_WV[:, there]
        self._price_V[here] = other._price_V[there]
        self.available_V[here] = other.available_V[there]

    def _codes(self, item: Item, width: int) -> list[int]:
        terms = chain((item.category, item.brand, item.currency or ""), item.tags)
        codes = [self._code_by_term.setdefault(each, len(self._code_by_term)) for each in terms]
        return codes + [NO_TERM] * (width - len(codes))

    def _widen(self, width: int) -> None:
        lacking = width - len(self._term_WV)
        if lacking > 0:
            self._term_WV = np.pad(self._term_WV, ((0, lacking), (0, 0)), constant_values=NO_TERM)

    def hide(self, item_ids: Iterable[str]) -> np.ndarray:
        """These are offered no more, but keep their places: histories may still name them."""
        places = np.array(self.places(item_ids), np.int64)
        self.available_V[places] = False
        fresh = places - len(self.known.item_ids)
        self.fresh_ND1[fresh[fresh >= 0], -1] = ABSENT
        return places
