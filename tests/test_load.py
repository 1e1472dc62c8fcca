"""The load generator against a real server on loopback."""

from collections import Counter
from collections.abc import Iterator
from itertools import count

import numpy as np
import pytest

from benchmarks.load import Load, LoadError, arrivals, percentile, run
from tests.echo_server import serving


def numbered(process: int) -> Iterator[bytes]:
    return (f"{process}-{number}".encode() for number in count())


def test_open_loop_counts_every_call_that_was_due_while_the_server_stood_still() -> None:
    with serving() as server:
        load = Load(
            target=server.target,
            method="/test.Test/StallOnce",
            requests=[b"x"],
            rate=200,
            arrivals="constant",
            seconds=2.0,
            warmup_s=0.0,
            deadline_ms=30_000,
        )
        result = run(load)
    [(since_time, until_time)] = server.stalled
    calls = result.calls
    during = calls[(calls["due_time"] >= since_time) & (calls["due_time"] < until_time)]
    assert len(calls) == 400
    assert len(during) >= 59  # 0.3 s at 200 a second, but for one at an edge
    assert (during["end_time"] >= until_time).all()
    # Due evenly over 300 ms, they waited from 0 to 300 ms: half of the 60 more than 145 ms, so
    # that 145 ms is exceeded by 30 of 400 calls. Sent late, one call would have seen the stall.
    assert percentile(result.latencies_ms(), 92.5) >= 145
    assert percentile(result.latencies_ms(), 100) >= 295


def test_closed_loop_makes_exactly_the_calls_asked_for_and_shares_out_the_requests() -> None:
    with serving() as server:
        load = Load(
            target=server.target,
            method="/test.Test/Echo",
            requests=[b"a", b"b", b"c", b"refuse"],
            callers=3,
            calls=16,
            processes=2,
            warmup_s=0.0,
            deadline_ms=30_000,
        )
        result = run(load)
    assert Counter(server.seen) == {b"a": 4, b"b": 4, b"c": 4, b"refuse": 4}
    assert result.counts() == {"OK": 12, "RESOURCE_EXHAUSTED": 4}
    assert len(result.latencies_ms(code=0)) == 12
    assert (result.lags_ms() >= 0).all()
    assert result.summary()["calls"] == 16 and result.summary()["count_OK"] == 12
    last_s = result.calls["end_time"].max() - result.begin_time
    assert result.achieved_rate == pytest.approx(12 / last_s)


def test_warmup_is_called_but_not_counted() -> None:
    with serving() as server:
        load = Load(
            target=server.target,
            method="/test.Test/Echo",
            requests="tests.test_load:numbered",
            rate=100,
            arrivals="constant",
            seconds=0.5,
            warmup_s=0.25,
            deadline_ms=30_000,
        )
        result = run(load)
    assert sorted(server.seen) == sorted(f"0-{number}".encode() for number in range(75))
    assert len(result.calls) == 50
    assert (result.calls["due_time"] >= result.begin_time).all()


def test_a_call_without_an_answer_ends_at_its_deadline() -> None:
    with serving() as server:
        load = Load(
            target=server.target,
            method="/test.Test/Silence",
            requests=[b"x"],
            callers=2,
            calls=4,
            warmup_s=0.0,
            deadline_ms=20,
        )
        result = run(load)
    assert result.counts() == {"DEADLINE_EXCEEDED": 4}
    assert result.achieved_rate == 0.0


def test_a_process_that_fails_is_an_error_not_an_empty_result(
    capfd: pytest.CaptureFixture[str],
) -> None:
    load = Load(
        target="127.0.0.1:1", method="/test.Test/Echo", requests="no_such:f", callers=1, calls=1
    )
    with pytest.raises(LoadError, match="see its message"):
        run(load)
    assert "No module named 'no_such'" in capfd.readouterr().err


def opened(**fields: object) -> Load:
    settings = {"target": "t", "method": "/m", "requests": [b"x"], "rate": 4, "seconds": 1.0}
    return Load(**{**settings, "warmup_s": 0.0, **fields})  # type: ignore[arg-type]


def test_constant_arrivals_of_two_processes_interleave() -> None:
    load = opened(arrivals="constant", processes=2)
    assert arrivals(load, 0).tolist() == [0.0, 0.5]
    assert arrivals(load, 1).tolist() == [0.25, 0.75]


def test_warmup_arrivals_come_first() -> None:
    load = opened(arrivals="constant", warmup_s=0.5)
    assert arrivals(load, 0).tolist() == [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]


def test_poisson_arrivals_are_of_the_rate_random_and_the_same_under_the_same_seed() -> None:
    load = opened(rate=1000, seconds=100.0, processes=2, seed=7)
    times = np.sort(np.concatenate([arrivals(load, 0), arrivals(load, 1)]))
    gaps = np.diff(times)
    assert len(times) == pytest.approx(100_000, rel=0.01)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.01)  # as of exponential gaps
    assert np.array_equal(arrivals(load, 0), arrivals(load, 0))
    assert not np.array_equal(arrivals(load, 0), arrivals(opened(rate=1000, seconds=100.0), 0))


def test_percentile_is_a_sample_that_so_many_do_not_exceed() -> None:
    samples = np.array([40.0, 10.0, 30.0, 20.0])
    assert [percentile(samples, q) for q in (50, 75, 76, 99.9, 100)] == [20, 30, 40, 40, 40]
    assert np.isnan(percentile(np.array([]), 50))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"callers": 3}, "callers=3, rate=4: give one"),
        ({"rate": None}, "callers=None, rate=None: give one"),
        ({"calls": 5}, "seconds=1.0, calls=5: give one"),
        ({"calls": 5, "seconds": None}, "open loop lasts for seconds"),
        ({"rate": None, "callers": 1, "processes": 2}, "1 callers are too few for 2 processes"),
        ({"requests": []}, "no request"),
        ({"rate": 0}, "rate=0: must be more than 0"),
    ],
)
def test_a_load_that_makes_no_sense_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        opened(**fields)
