"""Whether what is said to be 30 % likely happens in 30 % of the cases.

N examples   B bins   U types and silence
"""

from dataclasses import dataclass

import numpy as np

BINS = 10


@dataclass(frozen=True, slots=True)
class Reliability:
    """What was said and what happened, by bins of about equally many examples."""

    said_B: np.ndarray  # mean probability
    happened_B: np.ndarray  # share in which it came true
    count_B: np.ndarray

    @property
    def error(self) -> float:
        """The expected calibration error: how far apart the two are for an example, on average."""
        apart_B = np.abs(self.said_B - self.happened_B)
        return float((self.count_B * apart_B).sum() / self.count_B.sum())


def reliability(probability_N: np.ndarray, happened_N: np.ndarray, bins: int = BINS) -> Reliability:
    """By bins of equal mass, but that equal probabilities share one."""
    quantiles = np.arange(1, bins) / bins
    edges = np.unique(np.quantile(probability_N, quantiles, method="higher"))
    bin_N = np.searchsorted(edges, probability_N, side="right")
    count_B = np.bincount(bin_N, minlength=len(edges) + 1)
    filled_B = count_B > 0
    said_B, happened_B = (
        np.bincount(bin_N, each, len(count_B))[filled_B] / count_B[filled_B]
        for each in (probability_N, happened_N)
    )
    return Reliability(said_B, happened_B, count_B[filled_B])


def reliability_by_type(probability_NU: np.ndarray, right_N: np.ndarray) -> dict[int, Reliability]:
    """Of each type that came."""
    return {
        each: reliability(probability_NU[:, each], right_N == each)
        for each in np.unique(right_N).tolist()
    }
