"""How good answers are: where the right item stood, and how probable the right type was.

N examples   V items   U types and silence
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

TOP = 10


@dataclass(frozen=True, slots=True)
class Ranking:
    """Means over examples of where the right item stood in the whole catalog."""

    hit_rate: float  # share within the first TOP
    ndcg: float  # 1 / log2(1 + rank) within the first TOP
    mrr: float  # 1 / rank, however far


@dataclass(frozen=True, slots=True)
class Intent:
    """How well the probabilities of the types fit what came."""

    log_loss: float
    auc: float  # mean over the types that came, and those that did not come always
    auc_by_type: Mapping[int, float]


def ranks(score_NV: np.ndarray, right_N: np.ndarray) -> np.ndarray:
    """The rank of each right item, from 1; among equals the expected one; infinite for item -1."""
    known_N = right_N >= 0
    right_N1 = np.take_along_axis(score_NV, np.maximum(right_N, 0)[:, None], axis=1)
    above_N = (score_NV > right_N1).sum(axis=1)
    equal_N = (score_NV == right_N1).sum(axis=1)
    return np.where(known_N, 1 + above_N + (equal_N - 1) / 2, np.inf)


def rate_ranking(rank_N: np.ndarray) -> Ranking:
    """HR, NDCG and MRR of the ranks of right items."""
    within_N = rank_N <= TOP
    return Ranking(
        hit_rate=float(np.mean(within_N)),
        ndcg=float(np.mean(np.where(within_N, 1 / np.log2(1 + rank_N), 0))),
        mrr=float(np.mean(1 / rank_N)),
    )


def rate_intent(probability_NU: np.ndarray, right_N: np.ndarray) -> Intent:
    """Log-loss, and AUC of each type against the rest."""
    right_NU = right_N[:, None] == np.arange(probability_NU.shape[1])
    by_type = {
        each: auc(probability_NU[:, each], right_NU[:, each])
        for each in np.flatnonzero(right_NU.any(axis=0) & ~right_NU.all(axis=0)).tolist()
    }
    return Intent(
        log_loss=float(np.mean(log_losses(probability_NU, right_N))),
        auc=float(np.mean(list(by_type.values()))) if by_type else float("nan"),
        auc_by_type=by_type,
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
