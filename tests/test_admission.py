"""Admission: what is expected to be late is refused, lanes share, and beliefs end."""

import asyncio

import pytest

from serving.batching.admission import Gate
from serving.batching.pace import Pace
from serving.errors import DeadlineError
from tests.test_batcher import ClockLoop, on_clock


def test_a_pace_is_a_line_that_follows_the_news() -> None:
    pace = Pace(10)
    assert pace.seconds(5, 0.0) == 0.0
    pace.learn(1, 2.0, 0.0)
    assert [pace.seconds(number, 0.0) for number in (1, 10)] == [2.0, 2.0]
    pace.learn(10, 4.0, 0.5)  # 2 s off: each of the two parts takes a tenth of that
    assert pace.seconds(10, 0.5) == pytest.approx(2.0 + 0.2 + 0.2)
    assert pace.seconds(0, 0.5) == pytest.approx(2.0 + 0.2)
    for _ in range(300):
        pace.learn(1, 1.5, 1.0)
        pace.learn(10, 6.0, 1.0)
    assert pace.seconds(4, 1.0) == pytest.approx(3.0)


def test_a_pace_is_believed_for_a_second() -> None:
    pace = Pace(10)
    pace.learn(1, 5.0, 0.0)
    assert [pace.seconds(1, now) for now in (1.0, 1.1)] == [5.0, 0.0]
    pace.learn(1, 0.1, 1.1)
    assert pace.seconds(1, 1.1) == 0.1


async def pass_through(gate: Gate, took_s: float, *, lane: str = "web") -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, ClockLoop)
    with gate.passage(lane, loop.now + 60):
        loop.now += took_s


def test_a_call_that_is_expected_to_be_late_is_refused_and_told_when_to_come_back() -> None:
    async def scenario(loop: ClockLoop) -> None:
        gate = Gate()
        await pass_through(gate, 0.0625)
        refusal = gate.passage("web", loop.now + 0.0625).refusal
        assert refusal is not None
        assert refusal.retry_ms == 10  # 62.5 ms are so much more than 85 hundredths of as many
        with gate.passage("web", loop.now + 0.1):
            assert gate.size == 1
        assert (gate.size, dict(gate.inside)) == (0, {})

    on_clock(scenario)


def test_who_came_too_late_teaches_and_a_refusal_does_not() -> None:
    async def scenario(loop: ClockLoop) -> None:
        gate = Gate()
        for error, expected_s in ((DeadlineError("late"), 0.5), (ValueError(), 0.5)):
            with pytest.raises(type(error)), gate.passage("web", loop.now + 60):
                loop.now += 0.5
                raise error
            assert gate.pace.seconds(0, loop.now) == expected_s

    on_clock(scenario)


def test_a_flood_in_one_lane_is_no_reason_to_refuse_another() -> None:
    async def scenario(loop: ClockLoop) -> None:
        gate = Gate()
        for _ in range(300):
            for number in (1, 64):
                gate.pace.learn(number, number / 64, loop.now)
        entered = 0
        while (passage := gate.passage("web", loop.now + 0.5)).refusal is None:
            passage.__enter__()
            entered += 1
        assert entered in (26, 27)  # 27.2 / 64 s are 85 hundredths of 0.5 s
        store = gate.passage("store", loop.now + 0.1)
        assert store.refusal is None
        with store:  # is after one of each lane
            assert gate.inside == {"web": entered, "store": 1}

    on_clock(scenario)
