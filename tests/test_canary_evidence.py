"""Evidence about a canary: what is enough to withdraw it, and that a good one is left alone."""

import numpy as np
import pytest

from features.rollout import ERRORS, LATENCY
from serving.rollout.evidence import Evidence, fault_of, is_slower


def kind(**counts: float) -> str:
    fault = fault_of(Evidence(**counts))  # type: ignore[arg-type]
    return fault.kind if fault else ""


def test_nothing_is_said_of_few_runs() -> None:
    assert kind() == ""
    assert kind(runs=9, failed=9) == ""
    assert kind(runs=10, failed=10) == ERRORS


def test_failures_are_weighed_by_likelihood() -> None:
    # Each failure multiplies the ratio by 0.05 / 0.01 = 5, each run that did not fail by
    # 0.95 / 0.99 = 0.9596: 5 ** 5 * 0.9596 ** 5 = 2543, above 1000; a sixth failure is needed
    # where 40 runs went well: 5 ** 5 * 0.9596 ** 40 = 600, 5 ** 6 * 0.9596 ** 40 = 3001.
    assert kind(runs=10, failed=5) == ERRORS
    assert kind(runs=45, failed=5) == ""
    assert kind(runs=46, failed=6) == ERRORS
    assert kind(runs=10_000, failed=100) == ""


def test_slower_runs_are_weighed_by_likelihood() -> None:
    # Slower: 0.75 / 0.5 = 1.5; not slower: 0.25 / 0.5 = 0.5. 1.5 ** 17 = 985, 1.5 ** 18 = 1478.
    assert kind(runs=17, paired=17, slower=17) == ""
    assert kind(runs=18, paired=18, slower=18) == LATENCY
    assert kind(runs=19, paired=19, slower=18) == ""
    assert kind(runs=1000, paired=1000, slower=500) == ""


def test_a_run_counts_as_slower_where_anybody_would_notice() -> None:
    assert is_slower(0.016, 0.010)
    assert not is_slower(0.015, 0.010)
    assert not is_slower(0.0011, 0.0002)  # five times as long, but not by a millisecond


def test_a_run_that_does_not_end_is_enough() -> None:
    assert kind(runs=1, stuck_s=9.9) == ""
    fault = fault_of(Evidence(runs=1, failed=1, stuck_s=12.4))
    assert str(fault) == "latency: a run has been going on for 12 s"


def test_it_says_what_was_counted() -> None:
    assert str(fault_of(Evidence(runs=30, failed=12))) == (
        "errors: 12 of 30 runs failed where the champion answered"
    )


@pytest.mark.parametrize(("rate", "withdrawn"), [(0.01, False), (0.1, True)])
def test_looking_after_every_run_withdraws_the_bad_and_hardly_ever_the_good(
    rate: float, withdrawn: bool
) -> None:
    rng, ended = np.random.default_rng(1), 0
    for _ in range(500):
        failed_N = np.cumsum(rng.random(400) < rate)
        looks = enumerate(failed_N.tolist(), start=1)
        ended += any(fault_of(Evidence(runs=n, failed=failed)) for n, failed in looks)
    assert ended > 490 if withdrawn else ended <= 2  # of 500; ALPHA is 0.001
