"""How much of the catalog is shown, and how far from what everybody sees.

N examples   K places   V items
"""

from dataclasses import dataclass

import numpy as np

from training.judging.evaluation import TOP


@dataclass(frozen=True, slots=True)
class Breadth:
    """Of the TOP items that each example is answered with."""

    coverage: float  # share of the catalog that anyone is shown
    novelty: float  # mean -log2 of an item's share of all interactions

    @property
    def metrics(self) -> dict[str, float]:
        """By the names that they have in the contract and in MLflow."""
        return {"coverage_at_10": self.coverage, "novelty_at_10": self.novelty}


def rate_breadth(top_NK: np.ndarray, popularity_V: np.ndarray) -> Breadth:
    """Of best items first, as indices of the catalog; negative ones do not stand in it."""
    shown = top_NK[:, :TOP]
    shown = shown[shown >= 0]
    V = len(popularity_V)
    share_V = (popularity_V + 1) / (popularity_V.sum() + V)  # an item nobody saw is finite news
    return Breadth(
        coverage=len(np.unique(shown)) / V,
        novelty=float(-np.log2(share_V[shown]).mean()) if len(shown) else float("nan"),
    )
