"""The policy: from scores to ranked candidates, worked by hand."""

from collections.abc import Sequence

import numpy as np

from serving.model.scorer import Scores
from serving.policy import Ranked, best, most_popular, rank

ITEM_BK = np.array([[2, 0, 3], [3, 1, 0]])
JOINT_BKT = np.array(
    [
        [[0.25, 0.5], [0.125, 0.0], [0.0, 0.0625]],
        [[0.5, 0.25], [0.25, 0.0], [0.0, 0.0]],
    ],
    np.float32,
)
EVERY_BK = np.ones((2, 3), bool)


def item_ids(places: Sequence[int]) -> list[str]:
    return ["abcd"[each] for each in places]


def ranked(open_BK: np.ndarray, *k_B: int) -> list[list[Ranked]]:
    scores = Scores(np.zeros((2, 3), np.float32), ITEM_BK, JOINT_BKT)
    kept = best(scores, open_BK=open_BK, k_B=k_B, item_ids=item_ids)
    return rank(kept, [str(at).encode() for at in range(len(kept.item_ids))])


def names(open_BK: np.ndarray, *k_B: int) -> list[list[str]]:
    return [[each.item_id for each in row] for row in ranked(open_BK, *k_B)]


def test_score_is_the_sum_over_types() -> None:
    assert ranked(EVERY_BK, 2, 1) == [
        [
            Ranked("c", 0.75, b"0"),
            Ranked("a", 0.125, b"1"),
        ],
        [Ranked("d", 0.75, b"2")],
    ]


def test_the_next_best_takes_the_place_of_an_item_that_is_not_open() -> None:
    open_BK = np.array([[0, 1, 1], [1, 0, 1]], bool)
    assert names(open_BK, 2, 2) == [["a", "d"], ["d", "a"]]
    assert names(open_BK, 1, 9) == [["a"], ["d", "a"]]


def test_what_is_not_open_is_never_ranked_nor_named() -> None:
    assert names(np.array([[1, 0, 0], [0, 0, 0]], bool), 3, 3) == [["c"], []]


def test_popularity_skips_what_may_not_be_offered() -> None:
    popular = most_popular(
        [3, 1, 0, 2],
        item_ids=item_ids,
        eligible_V=np.array([1, 1, 1, 0], bool),
        excluded=[1],
        k=2,
    )
    assert popular == [Ranked("a", 0.0, b""), Ranked("c", 0.0, b"")]


def test_what_nobody_has_turned_to_follows_the_popular() -> None:
    eligible_V = np.ones(4, bool)
    popular = most_popular([2, 3, 2], item_ids=item_ids, eligible_V=eligible_V, excluded=[0], k=4)
    assert [each.item_id for each in popular] == ["c", "d", "b"]
