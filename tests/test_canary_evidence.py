"""Evidence about a canary: what is enough to withdraw it, and that a good one is left alone."""

from dataclasses import replace

import numpy as np
import pytest

from features.rollout import ERRORS, LATENCY
from serving.rollout.evidence import Evidence, Sum, fault_of, is_slower


def after(*endings: tuple[int, bool]) -> Evidence:
    """After so many runs each that failed or did not."""
    evidence = Evidence()
    for number, failed in endings:
        for _ in range(number):
            evidence = evidence.after_run(failed=failed)
    return evidence


def kind(evidence: Evidence) -> str:
    fault = fault_of(evidence)
    return fault.kind if fault else ""


def test_nothing_is_said_of_few_runs() -> None:
    assert kind(Evidence()) == ""
    assert kind(after((9, True))) == ""
    assert kind(after((10, True))) == ERRORS


def test_failures_are_weighed_by_likelihood() -> None:
    # Each failure multiplies by 0.05 / 0.01 = 5, each other run by 0.95 / 0.99 = 0.9596;
    # 5 ** 7 = 78,125, 5 ** 8 = 390,625, and the limit is 100,000.
    assert kind(after((10, False), (7, True))) == ""
    assert kind(after((10, False), (8, True))) == ERRORS
    # 5 ** 8 * 0.9596 ** 33 = 100,092; with one more that did not fail, nine have to.
    assert kind(after((4, True), (33, False), (4, True))) == ERRORS
    assert kind(after((4, True), (34, False), (4, True))) == ""
    assert kind(after((4, True), (34, False), (5, True))) == ERRORS


def test_one_that_was_good_for_long_goes_as_soon_as_another() -> None:
    assert kind(after((100_000, False), (7, True))) == ""
    told = str(fault_of(after((100_000, False), (8, True))))
    assert told == ("errors: 8 of 8 runs, 8 of 100008 in all, failed where the champion answered")


def test_one_in_a_hundred_is_tolerated() -> None:
    assert kind(after(*((99, False), (1, True)) * 100)) == ""


def test_slower_runs_are_weighed_by_likelihood() -> None:
    # Slower: 0.75 / 0.5 = 1.5; not slower: 0.5. 1.5 ** 28 = 85,223, 1.5 ** 29 = 127,834.
    evidence = after((50, False))
    for _ in range(28):
        evidence = evidence.after_pair(0.016, 0.010)
    assert kind(evidence) == ""
    assert kind(evidence.after_pair(0.015, 0.010)) == ""
    assert str(fault_of(evidence.after_pair(0.016, 0.010))) == (
        "latency: 29 of 29 runs took more than 1.5 times as long as the champion "
        "for the same questions"
    )


def test_a_run_counts_as_slower_where_anybody_would_notice() -> None:
    assert is_slower(0.016, 0.010)
    assert not is_slower(0.015, 0.010)
    assert not is_slower(0.0011, 0.0002)  # five times as long, but not by a millisecond


def test_a_run_that_does_not_end_is_enough() -> None:
    assert kind(replace(after((1, True)), stuck_s=9.9)) == ""
    fault = fault_of(replace(after((1, True)), stuck_s=12.4))
    assert str(fault) == "latency: a run has been going on for 12 s"
    assert fault is not None and fault.kind == LATENCY


@pytest.mark.parametrize(("rate", "withdrawn"), [(0.01, 0), (0.1, 100)])
def test_looking_after_every_run_withdraws_the_bad_and_hardly_ever_the_good(
    rate: float, withdrawn: int
) -> None:
    rng, ended = np.random.default_rng(1), 0
    for _ in range(100):
        total = Sum(tolerated=0.01, bad=0.05)
        for failed in (rng.random(1000) < rate).tolist():
            total = total.after(failed)
            if total.is_sure:
                ended += 1
                break
    assert ended == withdrawn  # of 100; once in 100,000 runs is allowed for the good
