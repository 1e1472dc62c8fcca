"""Masks: which items the filters in use let through, kept right while the catalog changes."""

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from serving.items.axis import ItemAxis
from serving.items.filters import Filter

MAX_MASKS = 64


@dataclass(slots=True)
class _Kept:
    filter: Filter
    mask_V: np.ndarray
    version: int  # of the columns that it is right for


class Masks:
    """The masks of the latest filters over one item axis.

    The thread that writes the axis renews them; other threads read. A mask that was made while
    the axis changed has an old version: it is made anew when it is next asked for.
    """

    def __init__(self, axis: ItemAxis) -> None:
        """Holds none yet."""
        self.axis = axis
        self._version = 0
        self._kept = OrderedDict[str, _Kept]()

    def of(self, asked: Filter) -> np.ndarray:
        """Which items a filter lets through, available or not; not to be written to."""
        version, kept = self._version, self._kept.pop(asked.text, None)
        if kept is None or kept.version != version:
            kept = _Kept(asked, asked.mask(self.axis.columns), version)
        self._kept[asked.text] = kept
        while len(self._kept) > MAX_MASKS:
            self._kept.popitem(last=False)
        return kept.mask_V

    def renew(self, places: np.ndarray) -> None:
        """To be called when items at these places have changed."""
        changed, before = self.axis.columns.at(places), self._version
        self._version += 1
        for each in list(self._kept.values()):
            if each.version == before:
                each.mask_V[places] = each.filter.mask(changed)
                each.version = self._version
