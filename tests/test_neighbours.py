"""Neighbouring sessions: how they are cut, found, and what they vote for."""

from math import log

import numpy as np
import pytest

from tests.sequences import ITEMS, on_day, packed, sequences
from training.judging.neighbours import (
    BEFORE,
    FADING,
    NO_SESSIONS,
    SESSIONS_AN_ITEM,
    Neighbourhood,
    Sessions,
    add_sessions,
    neighbourhood,
    votes,
)

HOUR = 1 / 24


def test_a_pause_ends_a_session_and_a_single_item_is_none() -> None:
    one = packed(
        on_day(1, 0),
        on_day(1 + HOUR / 2, 1),
        on_day(1 + HOUR, 2),
        on_day(2, 3),
        on_day(3, 4),
        on_day(3 + HOUR / 2, 4, interaction_id="again"),
    )
    other = packed(on_day(3 + HOUR, 5), on_day(3.1, 9), on_day(3.1 + HOUR / 2, 0))
    sessions = add_sessions(NO_SESSIONS, sequences(one, other), ITEMS)
    # Item 9 is not known, and so item 0 is alone in its session.
    assert sessions.item_P.tolist() == [0, 1, 2, 4, 4]
    assert sessions.size_S.tolist() == [3, 2]


def test_sessions_add_up() -> None:
    one, other = packed(on_day(1, 0), on_day(1.01, 1)), packed(on_day(2, 2), on_day(2.01, 3))
    apart = add_sessions(add_sessions(NO_SESSIONS, sequences(one), ITEMS), sequences(other), ITEMS)
    together = add_sessions(NO_SESSIONS, sequences(one, other), ITEMS)
    for name in Sessions.__slots__:
        assert getattr(apart, name).tolist() == getattr(together, name).tolist()


def known(*sessions: list[int]) -> Neighbourhood:
    """A neighbourhood of these sessions, the newest last."""
    item_P = np.array([item for each in sessions for item in each])
    sizes = np.array([len(each) for each in sessions])
    return neighbourhood(Sessions(item_P, sizes, np.arange(len(sessions))), 6)


def voted(near: Neighbourhood, *items: int) -> list[float]:
    return votes(near, [np.array(items, np.int64)])[0].tolist()


def test_neighbours_vote_by_nearness_and_rarity() -> None:
    near = known([3, 0, 1, 2], [4, 5])
    # Item 0 is in one of two sessions, as all others are: each counts log 2. What came right
    # after it counts whole, the next one half of it, and itself and what came before a tenth.
    expected = np.array([BEFORE, 1, FADING, BEFORE * FADING, 0, 0]) * log(2)
    assert voted(near, 0) == pytest.approx(expected.tolist())


def test_sessions_that_share_the_newer_item_count_more() -> None:
    near = known([0, 2], [1, 3], [4, 5], [4, 5])
    score = voted(near, 0, 1)
    # Item 0 is the older one of two: its session shares 1/2 of the weight, and counts half of it.
    assert score[3] == pytest.approx(log(4))
    assert score[2] == pytest.approx(log(4) / 4)


def test_only_the_last_items_are_looked_up() -> None:
    near = known([0, 2], [1, 3], [4, 5])
    assert voted(near, 4, 0, 1) == voted(near, 0, 1)


def test_without_a_history_nobody_votes() -> None:
    assert voted(known([0, 1])) == [0] * 6
    assert votes(neighbourhood(NO_SESSIONS, 6), [np.array([1])]).tolist() == [[0] * 6]


def test_of_too_many_sessions_the_newest_are_asked() -> None:
    old, new = [[0, 1]] * 3, [[0, 2]] * SESSIONS_AN_ITEM
    score = voted(known(*old, *new, [4, 5]), 0)
    assert score[1] == 0
    assert score[2] > 0


def test_one_customer_is_answered_as_among_many() -> None:
    near = known([0, 1, 2], [2, 3], [1, 4, 5])
    several = votes(near, [np.array(each) for each in ([0, 1], [2], [5, 1])])
    assert several.tolist() == [voted(near, 0, 1), voted(near, 2), voted(near, 5, 1)]
