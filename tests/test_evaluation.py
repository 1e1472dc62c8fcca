"""The metrics, on examples small enough to be worked out by hand."""

import math

import numpy as np
import pytest

from training.judging.evaluation import auc, ranks, rate_intent, rate_ranking


def test_the_rank_counts_what_stands_above() -> None:
    score_NV = np.array([[0.1, 0.7, 0.2], [0.1, 0.7, 0.2]])
    assert ranks(score_NV, np.array([1, 0])).tolist() == [1, 3]


def test_equals_share_the_expected_rank() -> None:
    score_NV = np.array([[0.9, 0.5, 0.5, 0.5]])
    # Second, third and fourth place are equally likely: 3 on average.
    assert ranks(score_NV, np.array([2])).tolist() == [3]


def test_a_constant_score_stands_in_the_middle() -> None:
    assert ranks(np.zeros((1, 9)), np.array([4])).tolist() == [5]


def test_an_item_that_is_not_known_is_never_found() -> None:
    rank_N = ranks(np.array([[0.3, 0.7]]), np.array([-1]))
    assert rank_N.tolist() == [math.inf]
    assert rate_ranking(rank_N).mrr == 0


def test_ranking_metrics() -> None:
    rating = rate_ranking(np.array([1, 3, 10, 11]))
    assert rating.hit_rate == 3 / 4
    # 1 / log2(2) = 1, 1 / log2(4) = 1/2, 1 / log2(11) = 0.28906, and nothing beyond the tenth.
    assert rating.ndcg == pytest.approx((1 + 0.5 + 0.28906) / 4, abs=1e-5)
    assert rating.mrr == pytest.approx((1 + 1 / 3 + 1 / 10 + 1 / 11) / 4)


def test_auc_is_the_share_of_pairs_in_right_order() -> None:
    positive_N = np.array([True, False, True, False])
    # Pairs: 0.8 above 0.1 and 0.5; 0.5 above 0.1, and equal to 0.5: 3.5 of 4.
    assert auc(np.array([0.8, 0.1, 0.5, 0.5]), positive_N) == 3.5 / 4
    assert auc(np.zeros(4), positive_N) == 0.5


def test_intent_metrics() -> None:
    probability_NU = np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]])
    rating = rate_intent(probability_NU, np.array([0, 0]))
    assert rating.log_loss == pytest.approx((math.log(2) + math.log(4)) / 2)
    assert rating.auc_by_type == {}  # one type always came, the others never
    assert math.isnan(rating.auc)


def test_intent_auc_is_the_mean_over_types() -> None:
    probability_NU = np.array([[0.6, 0.4], [0.7, 0.3], [0.2, 0.8]])
    rating = rate_intent(probability_NU, np.array([0, 1, 1]))
    # Type 0: 0.6 against 0.7 and 0.2; type 1: 0.3 and 0.8 against 0.4. One of two pairs each.
    assert rating.auc_by_type == {0: 0.5, 1: 0.5}
    assert rating.auc == 0.5


def test_a_probability_of_zero_is_punished_but_finite() -> None:
    rating = rate_intent(np.array([[1.0, 0.0]]), np.array([1]))
    assert 80 < rating.log_loss < 90  # -log of the smallest normal float32, 87.3
