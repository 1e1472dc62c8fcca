"""Columns: what the catalog says of items as arrays, and the conditions that are put to them.

V items   W rows of terms: one each of TEXTS, then tags
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

TEXTS = ("category", "brand", "currency")
NO_TERM = -1
RELATIONS = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}


@dataclass(frozen=True, slots=True)
class Columns:
    """What filters read of items."""

    term_WV: np.ndarray  # int32 codes; NO_TERM where there is no (further) tag
    price_V: np.ndarray  # float64; NaN where it is not known
    code_by_term: Mapping[str, int]

    def at(self, rows: np.ndarray) -> "Columns":
        """The same of some items only."""
        return Columns(self.term_WV[:, rows], self.price_V[rows], self.code_by_term)


@dataclass(frozen=True, slots=True)
class OneOf:
    """A text is one of these."""

    row: int  # of W
    terms: tuple[str, ...]

    def mask(self, columns: Columns) -> np.ndarray:
        """Of which items it holds."""
        codes = [columns.code_by_term.get(each) for each in self.terms]
        known = [each for each in codes if each is not None]
        if len(known) == 1:
            return np.equal(columns.term_WV[self.row], known[0])
        return np.isin(columns.term_WV[self.row], known)


@dataclass(frozen=True, slots=True)
class Tagged:
    """This is one of the tags."""

    term: str

    def mask(self, columns: Columns) -> np.ndarray:
        """Of which items it holds."""
        code = columns.code_by_term.get(self.term)
        if code is None:
            return np.zeros(len(columns.price_V), bool)
        mask_V: np.ndarray = np.equal(columns.term_WV[len(TEXTS) :], code).any(0)
        return mask_V


@dataclass(frozen=True, slots=True)
class Price:
    """A price that is not known differs from every number, and is neither more nor less."""

    relation: str
    number: float

    def mask(self, columns: Columns) -> np.ndarray:
        """Of which items it holds."""
        mask_V: np.ndarray = RELATIONS[self.relation](columns.price_V, self.number)
        return mask_V


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    part: "Condition"

    def mask(self, columns: Columns) -> np.ndarray:
        """Of which items it holds."""
        return ~self.part.mask(columns)


@dataclass(frozen=True, slots=True)
class Every:
    """All of these at once."""

    parts: tuple["Condition", ...]

    def mask(self, columns: Columns) -> np.ndarray:
        """Of which items it holds."""
        mask_V: np.ndarray = np.logical_and.reduce([each.mask(columns) for each in self.parts])
        return mask_V


@dataclass(frozen=True, slots=True)
class Some:
    """At least one of these."""

    parts: tuple["Condition", ...]

    def mask(self, columns: Columns) -> np.ndarray:
        """Of which items it holds."""
        mask_V: np.ndarray = np.logical_or.reduce([each.mask(columns) for each in self.parts])
        return mask_V


@dataclass(frozen=True, slots=True)
class Always:
    """Holds of every item, or of none."""

    holds: bool

    def mask(self, columns: Columns) -> np.ndarray:
        """Of which items it holds."""
        return np.full(len(columns.price_V), self.holds)


# ---- Of the customer who is asked about: to be bound, see asker; until then nothing is known -----


@dataclass(frozen=True, slots=True)
class RegionIn:
    """The customer's region is one of these."""

    terms: tuple[str, ...]

    def mask(self, columns: Columns) -> np.ndarray:
        """Of which items it holds."""
        return Always("" in self.terms).mask(columns)


@dataclass(frozen=True, slots=True)
class RegionTagged:
    """The customer's region is one of the tags."""

    def mask(self, columns: Columns) -> np.ndarray:
        """Of which items it holds."""
        return Always(False).mask(columns)


@dataclass(frozen=True, slots=True)
class Age:
    """An age that is not known differs from every number, and is neither more nor less."""

    relation: str
    number: float

    def mask(self, columns: Columns) -> np.ndarray:
        """Of which items it holds."""
        return Always(self.relation == "!=").mask(columns)


Condition = OneOf | Tagged | Price | Not | Every | Some | Always | RegionIn | RegionTagged | Age
