"""Lanes take turns and the oldest is never left out; runs are cut where padding costs too much."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.batching.lanes import Lanes
from serving.batching.padding import runs_of


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 3)), max_size=60))
def test_the_oldest_is_in_the_next_batch_whatever_arrives(arrivals: list[tuple[str, int]]) -> None:
    lanes: Lanes[int] = Lanes()
    present: dict[int, str] = {}
    for number, (lane, takes) in enumerate(arrivals):
        lanes.put(lane, number)
        present[number] = lane
        turns = lanes.take_turns()
        taken = [each for _ in range(takes) if (each := next(turns, None)) is not None]
        assert taken[:1] == list(present)[: min(1, takes)]
        for each in taken:  # and the oldest of its lane
            assert each == min(n for n, its in present.items() if its == present[each])
            del present[each]
        assert len(lanes) == len(present)


def test_turns_ahead_count_no_lane_for_more_than_ones_own() -> None:
    lanes: Lanes[int] = Lanes()
    for number in range(10):
        lanes.put("web", number)
    lanes.put("app", 10)
    assert lanes.ahead_of("store") == 2
    assert lanes.ahead_of("app") == 3
    assert lanes.ahead_of("web") == 11
    lanes.remove("web", 0)
    assert (len(lanes), lanes.ahead_of("web")) == (10, 10)


@pytest.mark.parametrize(
    ("lengths", "runs"),
    [
        ([], []),
        ([7], [[0]]),
        ([0, 0, 0], [[0, 1, 2]]),
        ([33, 1], [[1, 0]]),  # 64 records of padding cost no more than a run
        ([66, 1], [[1], [0]]),
        ([100, 1, 50, 2, 99, 51], [[1, 3], [2, 5], [4, 0]]),  # 4 * 49 saved, then 2 * 49
    ],
)
def test_runs_are_cut_where_padding_costs_more_than_a_run(
    lengths: list[int], runs: list[list[int]]
) -> None:
    assert runs_of(lengths) == runs
