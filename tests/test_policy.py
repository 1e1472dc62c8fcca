"""The policy: from scores to ranked candidates, worked by hand."""

import numpy as np

from serving.policy import Ranked, intents_of, most_popular, rank

ITEM_IDS = ("a", "b", "c", "d")
EVERY = np.ones(4, bool)
NONE: frozenset[str] = frozenset()
ITEM_K = np.array([2, 0, 3])
JOINT_KT = np.array([[0.25, 0.5], [0.125, 0.0], [0.0, 0.0625]], np.float32)


def ranked(eligible_V: np.ndarray, excluded: frozenset[str], k: int) -> list[Ranked]:
    return rank(
        ITEM_K,
        JOINT_KT,
        item_ids=ITEM_IDS,
        types=("view", "purchase"),
        eligible_V=eligible_V,
        excluded=excluded,
        k=k,
    )


def test_score_is_the_sum_over_types() -> None:
    assert ranked(EVERY, NONE, 2) == [
        Ranked("c", 0.75, (("purchase", 0.5), ("view", 0.25))),
        Ranked("a", 0.125, (("view", 0.125), ("purchase", 0.0))),
    ]


def test_the_next_best_takes_the_place_of_an_excluded_item() -> None:
    assert [each.item_id for each in ranked(EVERY, frozenset({"c"}), 2)] == ["a", "d"]


def test_what_is_not_eligible_is_never_ranked() -> None:
    assert [each.item_id for each in ranked(np.array([0, 1, 1, 0], bool), NONE, 3)] == ["c"]
    assert ranked(np.zeros(4, bool), NONE, 3) == []


def test_intents_are_sorted_and_hold_silence() -> None:
    intents = intents_of(np.array([0.25, 0.125, 0.625], np.float32), ("view", "purchase"))
    assert intents == (("silence", 0.625), ("view", 0.25), ("purchase", 0.125))


def test_popularity_skips_what_may_not_be_offered() -> None:
    popular = most_popular(
        [3, 1, 0, 2],
        item_ids=ITEM_IDS,
        eligible_V=np.array([1, 1, 1, 0], bool),
        excluded=frozenset({"b"}),
        k=2,
    )
    assert popular == [Ranked("a", 0.0, ()), Ranked("c", 0.0, ())]
