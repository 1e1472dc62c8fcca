"""How good answers are: where the right item stood, and how probable the right type was.

N examples   V items   U types and silence
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from training.judging.calibration import Reliability, reliability_by_type

TOP = 10
DEPTHS = (1, 5, TOP, 20)


@dataclass(frozen=True, slots=True)
class Depth:
    """Means over examples of what is found within so many places."""

    hit_rate: float  # share of right items that are
    ndcg: float  # 1 / log2(1 + rank), else 0
    mrr: float  # 1 / rank, else 0


@dataclass(frozen=True, slots=True)
class Ranking:
    """Means over examples of where the right item stood in the whole catalog."""

    by_depth: Mapping[int, Depth]  # DEPTHS
    mrr: float  # 1 / rank, however far

    @property
    def hit_rate(self) -> float:
        """Within TOP."""
        return self.by_depth[TOP].hit_rate

    @property
    def ndcg(self) -> float:
        """Within TOP."""
        return self.by_depth[TOP].ndcg

    @property
    def metrics(self) -> dict[str, float]:
        """By the names that they have in the contract and in MLflow."""
        named = {
            f"{name}_at_{depth}": getattr(self.by_depth[depth], field)
            for depth in self.by_depth
            for name, field in (("hr", "hit_rate"), ("ndcg", "ndcg"), ("mrr", "mrr"))
        }
        return named | {"mrr": self.mrr}


@dataclass(frozen=True, slots=True)
class Intent:
    """How well the probabilities of the types fit what came."""

    log_loss: float
    auc: float  # mean over the types that came, and those that did not come always
    auc_by_type: Mapping[int, float]
    log_loss_by_type: Mapping[int, float]  # where it came
    reliability_by_type: Mapping[int, Reliability]

    @property
    def calibration_error(self) -> float:
        """The mean over the types that came."""
        return float(np.mean([each.error for each in self.reliability_by_type.values()]))


def ranks(score_NV: np.ndarray, right_N: np.ndarray) -> np.ndarray:
    """The rank of each right item, from 1; among equals the expected one; infinite for item -1."""
    known_N = right_N >= 0
    right_N1 = np.take_along_axis(score_NV, np.maximum(right_N, 0)[:, None], axis=1)
    above_N = (score_NV > right_N1).sum(axis=1)
    equal_N = (score_NV == right_N1).sum(axis=1)
    return np.where(known_N, 1 + above_N + (equal_N - 1) / 2, np.inf)


def best(score_NV: np.ndarray, most: int) -> np.ndarray:
    """The items (N, K) with the highest scores, best first; K is at most so many."""
    most = min(most, score_NV.shape[1])
    top_NK = np.argpartition(-score_NV, most - 1, axis=1)[:, :most]
    order_NK = np.argsort(-np.take_along_axis(score_NV, top_NK, 1), axis=1, kind="stable")
    return np.take_along_axis(top_NK, order_NK, axis=1)


def rate_ranking(rank_N: np.ndarray) -> Ranking:
    """HR, NDCG and MRR of the ranks of right items."""
    by_depth = {each: _within(rank_N, each) for each in DEPTHS}
    return Ranking(by_depth, float(np.mean(1 / rank_N)))


def _within(rank_N: np.ndarray, depth: int) -> Depth:
    return Depth(
        hit_rate=float(np.mean(hits(rank_N, depth))),
        ndcg=float(np.mean(gains(rank_N, depth))),
        mrr=float(np.mean(np.where(rank_N <= depth, 1 / rank_N, 0))),
    )


def hits(rank_N: np.ndarray, depth: int = TOP) -> np.ndarray:
    """1 where the right item is within so many places, else 0."""
    return (rank_N <= depth).astype(float)


def gains(rank_N: np.ndarray, depth: int = TOP) -> np.ndarray:
    """The NDCG of each example, as there is one right item."""
    return np.where(rank_N <= depth, 1 / np.log2(1 + rank_N), 0)


def rate_intent(probability_NU: np.ndarray, right_N: np.ndarray) -> Intent:
    """Log-loss, and AUC of each type against the rest."""
    right_NU = right_N[:, None] == np.arange(probability_NU.shape[1])
    by_type = {
        each: auc(probability_NU[:, each], right_NU[:, each])
        for each in np.flatnonzero(right_NU.any(axis=0) & ~right_NU.all(axis=0)).tolist()
    }
    log_loss_N = log_losses(probability_NU, right_N)
    came = np.unique(right_N).tolist()
    return Intent(
        log_loss=float(np.mean(log_loss_N)),
        auc=float(np.mean(list(by_type.values()))) if by_type else float("nan"),
        auc_by_type=by_type,
        log_loss_by_type={each: float(log_loss_N[right_N == each].mean()) for each in came},
        reliability_by_type=reliability_by_type(probability_NU, right_N),
    )


def log_losses(probability_NU: np.ndarray, right_N: np.ndarray) -> np.ndarray:
    """The surprise at what came: -log of its probability."""
    right_N1 = np.take_along_axis(probability_NU, right_N[:, None], axis=1)
    return -np.log(np.clip(right_N1[:, 0], np.finfo(np.float32).tiny, 1))


def auc(score_N: np.ndarray, positive_N: np.ndarray) -> float:
    """How often a positive one scores above a negative one; equal scores count half."""
    _, place_N, counts = np.unique(score_N, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2
    positives = int(positive_N.sum())
    negatives = len(positive_N) - positives
    wins = middle[place_N][positive_N].sum() - positives * (positives + 1) / 2
    return float(wins / (positives * negatives))
