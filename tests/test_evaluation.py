"""The metrics, on examples small enough to be worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.judging.breadth import rate_breadth
from training.judging.calibration import reliability
from training.judging.evaluation import Depth, auc, best, ranks, rate_intent, rate_ranking


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


def test_the_best_come_first() -> None:
    score_NV = np.array([[0.1, 0.7, 0.2], [0.5, 0.1, 0.9]])
    assert best(score_NV, 2).tolist() == [[1, 2], [2, 0]]
    assert best(score_NV, 9).tolist() == [[1, 2, 0], [2, 0, 1]]


def test_ranking_by_depth() -> None:
    rating = rate_ranking(np.array([1, 2, 7, 15]))
    assert [each.hit_rate for each in rating.by_depth.values()] == [1 / 4, 2 / 4, 3 / 4, 1]
    assert rating.by_depth[1] == Depth(hit_rate=0.25, ndcg=0.25, mrr=0.25)
    assert rating.by_depth[5].mrr == (1 + 1 / 2) / 4
    # 1 / log2(3) = 0.63093, 1 / log2(8) = 1/3, 1 / log2(16) = 1/4
    assert rating.by_depth[20].ndcg == pytest.approx((1 + 0.63093 + 1 / 3 + 0.25) / 4, abs=1e-5)
    assert rating.metrics["ndcg_at_10"] == rating.ndcg
    assert len(rating.metrics) == 13


def test_coverage_and_novelty() -> None:
    top_NK = np.array([[0, 1], [0, -1]])
    # With one more of each, items have 4/8, 2/8, 1/8, 1/8 of the interactions: 1, 2, 3, 3 bits.
    rating = rate_breadth(top_NK, np.array([3, 1, 0, 0]))
    assert rating.coverage == 2 / 4
    assert rating.novelty == pytest.approx((1 + 2 + 1) / 3)


def test_reliability_by_bins_of_equal_mass() -> None:
    probability_N = np.array([0.1, 0.2, 0.6, 0.8])
    found = reliability(probability_N, np.array([False, False, True, False]), bins=2)
    assert found.count_B.tolist() == [2, 2]
    assert found.said_B.tolist() == pytest.approx([0.15, 0.7])
    assert found.happened_B.tolist() == [0, 0.5]
    assert found.error == pytest.approx((0.15 + 0.2) / 2)


def test_equal_probabilities_share_a_bin() -> None:
    found = reliability(np.full(8, 0.25), np.arange(8) < 2)
    assert found.count_B.tolist() == [8]
    assert found.error == 0


@given(st.lists(st.tuples(st.sampled_from([0, 0.25, 0.5, 1]), st.booleans()), min_size=1))
def test_bins_hold_all_examples_and_what_happened(pairs: list[tuple[float, bool]]) -> None:
    probability_N, happened_N = np.array([p for p, _ in pairs]), np.array([h for _, h in pairs])
    found = reliability(probability_N, happened_N)
    assert found.count_B.sum() == len(pairs)
    assert (found.count_B * found.happened_B).sum() == pytest.approx(happened_N.sum())
    assert (np.diff(found.said_B) > 0).all()
    assert 0 <= found.error <= 1
