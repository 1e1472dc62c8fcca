"""The gate: a challenger must be surely better, nowhere surely worse, and fast enough."""

import numpy as np
import pytest

from tests.sequences import ITEMS
from training.gate import Verdict, gains_by_slice, judge
from training.judging.breadth import Breadth
from training.judging.evaluation import rate_ranking
from training.judging.examples import NOTHING, Examples
from training.judging.intervals import Interval
from training.judging.judging import Contest, Standing
from training.settings import TrainingError, TrainingSettings

N = 200  # arrivals of as many customers
FIRST = np.ones(N)
TENTH = np.full(N, 10.0)  # NDCG 1 / log2(11) = 0.2891
HALF = np.arange(N) < N // 2


def standing(rank_N: np.ndarray, **modes: np.ndarray) -> Standing:
    """A contender with these ranks."""
    return Standing(
        name="",
        ranking=rate_ranking(rank_N),
        breadth=Breadth(0.0, 0.0),
        intent=None,
        likely=None,
        rank_N=rank_N,
        log_loss_N=None,
        rank_by_mode=modes,
    )


def contest(**slices: np.ndarray) -> Contest:
    """One arrival of each customer."""
    zeros = np.zeros(N, np.int64)
    customers = np.arange(N, dtype=np.uint32)
    arrivals = Examples((b"",) * N, zeros, zeros, zeros, zeros.astype(np.uint64), customers)
    return Contest(
        arrivals=arrivals,
        moments=NOTHING,
        arrival_count=N,
        moment_count=0,
        slices=slices,
        items=ITEMS,
        popularity_V=np.ones(6),
        described=(),
    )


def verdict(
    challenger: Standing, reigning: Standing, *, latency_ms: float = 1.0, **changes: object
) -> Verdict:
    """Of a contest with two slices: the first half, and all but one arrival of the second."""
    settings = TrainingSettings(**changes)  # type: ignore[arg-type]
    asked = contest(old=HALF, new=~HALF)
    gains = gains_by_slice(challenger, reigning, asked, settings.gate_metric)
    return judge(gains, "champion", latency_ms, settings)


def refused(given: Verdict) -> list[str]:
    """The rules that are not met."""
    return [each.rule for each in given.reasons if not each.met]


def test_surely_better_is_crowned_and_says_by_how_much() -> None:
    given = verdict(standing(FIRST), standing(TENTH))
    assert given.crowned
    assert given.reasons[0].text == "NDCG@10 against champion: +0.7109 [+0.7109, +0.7109]"
    assert given.reasons[1].text == "on none of 2 worse than champion by more than 0.02"
    assert given.reasons[2].text == "1.00 ms for one customer on one thread, of 50 allowed"


def test_equal_is_refused_unless_a_loss_is_allowed() -> None:
    equal = standing(FIRST), standing(FIRST)
    given = verdict(*equal)
    assert refused(given) == ["metric"]
    assert given.reasons[0].text.endswith("where the lower bound must be above 0")
    assert verdict(*equal, least_gain=-0.001).crowned


def test_better_on_average_but_not_surely_is_refused() -> None:
    few = np.where(np.arange(N) < 2, 1.0, 10.0)  # two of 200 customers are better off
    given = verdict(standing(few), standing(TENTH))
    assert refused(given) == ["metric"]
    assert "+0.0071 [+0.0000, " in given.reasons[0].text


def test_surely_worse_on_one_slice_is_refused() -> None:
    mixed = np.where(HALF, 1.0, 10.0)
    worse = np.where(HALF, 10.0, 5.0)  # NDCG 1 / log2(6) = 0.3869 on the second half
    given = verdict(standing(mixed), standing(worse))
    assert refused(given) == ["slices"]
    assert given.reasons[1].text == "new: -0.0978 [-0.0978, -0.0978], where -0.02 is tolerated"
    assert verdict(standing(mixed), standing(worse), slice_tolerance=0.1).crowned


def test_worse_in_a_way_of_asking_is_refused() -> None:
    rank_N = np.where(np.arange(N) < 3, np.nan, 10.0)  # not asked of three
    challenger = standing(FIRST, **{"without profile": rank_N})
    reigning = standing(TENTH, **{"without profile": FIRST})
    given = verdict(challenger, reigning)
    assert refused(given) == ["slices"]
    assert given.reasons[1].text.startswith("without profile: -0.7109")


def test_too_slow_is_refused() -> None:
    assert refused(verdict(standing(FIRST), standing(TENTH), latency_ms=50.1)) == ["latency"]
    assert verdict(standing(FIRST), standing(TENTH), latency_ms=50.0).crowned


@pytest.mark.parametrize(
    ("metric", "text"), [("hr_at_10", "HR@10 against champion: +1."), ("mrr", "MRR against")]
)
def test_the_metric_is_agreed_on(metric: str, text: str) -> None:
    outside = standing(np.full(N, 11.0))
    assert verdict(standing(FIRST), outside, gate_metric=metric).reasons[0].text.startswith(text)


def test_a_metric_that_is_none_is_named() -> None:
    with pytest.raises(TrainingError, match="gate-metric is auc: must be one of ndcg_at_10, hr"):
        TrainingSettings(gate_metric="auc")


def test_an_unknown_interval_is_never_enough() -> None:
    nothing = Interval(float("-inf"), float("nan"), float("inf"))
    given = judge({"": nothing, "few": nothing}, "champion", 1.0, TrainingSettings())
    assert refused(given) == ["metric"]


def test_the_registry_is_told_every_reason() -> None:
    tags = verdict(standing(FIRST), standing(FIRST), latency_ms=60).tags
    assert list(tags) == ["verdict", "verdict.metric", "verdict.slices", "verdict.latency"]
    assert tags["verdict"] == "refused"
    assert tags["verdict.latency"] == "60.00 ms for one customer on one thread, of 50 allowed"
