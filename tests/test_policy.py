"""From scores to offers: ranking, worth and popularity, worked by hand."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from features.declared import Declared
from features.policy.arbitration import Offers
from features.policy.declaration import Policy, PolicyError
from features.policy.worth import Worths, expected, ranking_weights
from features.vocabulary import load_vocabulary
from serving.model.scorer import Scores
from serving.policy.ranking import Best, Ranked, best, most_popular, rank
from serving.policy.terms import terms_of

ITEM_BK = np.array([[2, 0, 3], [3, 1, 0]])
JOINT_BKT = np.array(
    [
        [[0.25, 0.5], [0.125, 0.0], [0.0, 0.0625]],
        [[0.5, 0.25], [0.25, 0.0], [0.0, 0.0]],
    ],
    np.float32,
)
PRICE_V = np.array([1.0, np.nan, 3.0, 4.0])
EVERY_BK = np.ones((2, 3), bool)


def item_ids(places: Sequence[int]) -> list[str]:
    return ["abcd"[each] for each in places]


def pool(open_BK: np.ndarray, *most_B: int) -> Best:
    scores = Scores(np.zeros((2, 3), np.float32), ITEM_BK, JOINT_BKT)
    return best(scores, open_BK=open_BK, most_B=most_B, item_ids=item_ids, price_V=PRICE_V)


def names(open_BK: np.ndarray, *most_B: int) -> list[list[str]]:
    found = pool(open_BK, *most_B)
    ends = np.cumsum(found.count_B)
    return [
        list(found.item_ids[end - count : end])
        for count, end in zip(found.count_B, ends, strict=True)
    ]


def test_the_pool_holds_the_best_with_their_prices() -> None:
    found = pool(EVERY_BK, 2, 1)
    assert found.count_B == [2, 1]
    assert found.item_ids == ["c", "a", "d"]
    assert found.price_N.tolist() == [3, 1, 4]
    assert found.joint_NT.tolist() == [[0.25, 0.5], [0.125, 0.0], [0.5, 0.25]]
    assert pool(np.array([[0, 0, 0], [0, 1, 0]], bool), 1, 1).price_N.tolist() == [0]


def test_the_next_best_takes_the_place_of_an_item_that_is_not_open() -> None:
    open_BK = np.array([[0, 1, 1], [1, 0, 1]], bool)
    assert names(open_BK, 2, 2) == [["a", "d"], ["d", "a"]]
    assert names(open_BK, 1, 9) == [["a"], ["d", "a"]]


def test_what_is_not_open_is_never_ranked_nor_named() -> None:
    assert names(np.array([[1, 0, 0], [0, 0, 0]], bool), 3, 3) == [["c"], []]


def test_worth_is_the_sum_over_types() -> None:
    worths = Worths(np.array([0.5, -1.0]), np.array([0.0, 2.0]), np.array([0.0, 0.25]))
    worth = expected(np.array([[0.5, 0.25], [0.0, 0.5]]), np.array([4.0, 0.0]), worths)
    assert worth.customer_N.tolist() == [0.0, -0.5]
    assert worth.company_N.tolist() == [0.75, 1.0]


def test_the_model_ranks_by_the_weighted_worth_of_types() -> None:
    worths = Worths(np.array([1.0, -4.0]), np.array([2.0, 0.0]), np.zeros(2))
    policy = Policy.model_validate({"version": "1", "weights": {"customer": 0.5, "company": 1.0}})
    assert ranking_weights(worths, policy).tolist() == [1.0, np.float32(-0.8)]
    nothing = Worths(np.zeros(2), np.zeros(2), np.zeros(2))
    assert ranking_weights(nothing, policy).tolist() == [1.0, 1.0]


def declared(**sections: object) -> Declared[Policy]:
    policy = Policy.model_validate({"version": "1"} | sections)
    return Declared(policy, Path("spring.yaml"), None)


def test_the_policy_comes_before_the_vocabulary() -> None:
    vocabulary = load_vocabulary()
    values = {"purchase": {"company": 0.25, "margin": 0.5}}
    terms = terms_of(declared(values=values), vocabulary)
    at = vocabulary.predicted.index("purchase")
    worths = terms.worths
    assert (worths.customer_T[at], worths.company_T[at], worths.margin_T[at]) == (1.0, 0.25, 0.5)
    assert worths.company_T[vocabulary.predicted.index("return")] == -1.0
    strange = declared(values={"sell": {}, "barter": {}})
    with pytest.raises(PolicyError, match="policy 1: values names unknown types: barter, sell"):
        terms_of(strange, vocabulary)


def test_offers_are_told_in_their_order() -> None:
    found = pool(EVERY_BK, 2, 1)
    worths = Worths(np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.zeros(2))
    worth = expected(found.joint_NT, found.price_N, worths)
    value_N, propensity_M = np.array([0.5, 0.25, 1.5]), np.array([0.75, 0.25])
    offers = Offers([0, 2], np.array([2, 0]), value_N, propensity_M, [None, None])
    assert rank(found, worth, offers, [b"d", b"c"]) == [
        [],
        [
            Ranked("d", 0.75, b"d", 0.5, 0.25, 1.5, 0.75),
            Ranked("c", 0.75, b"c", 0.25, 0.5, 0.5, 0.25),
        ],
    ]


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
