"""The gate: whether a challenger becomes champion, and why; each reason is named.

N arrivals
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.artefact import OUTPUTS
from training.export.export import GRAPH, open_graph, random_feeds
from training.export.ranker import Ranker
from training.judging.evaluation import gains, hits
from training.judging.intervals import Interval, Sample, intervals
from training.judging.judging import Contest, Standing
from training.settings import TrainingSettings

RUNS = 20  # of which the fastest counts: others have the machine now and then
ASKED = 10  # items
METRICS: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "ndcg_at_10": ("NDCG@10", gains),
    "hr_at_10": ("HR@10", hits),
    "mrr": ("MRR", lambda rank_N: 1 / rank_N),
}
"""What may be agreed on: what it is called, and each example's part in it, from its rank."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One rule, and whether the challenger meets it."""

    rule: str
    met: bool
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """All reasons; one that is not met is enough to refuse."""

    reasons: tuple[Reason, ...]

    @property
    def crowned(self) -> bool:
        """Whether the challenger is to be champion."""
        return all(each.met for each in self.reasons)

    @property
    def tags(self) -> dict[str, str]:
        """As the registry notes it of the version."""
        texts = {
            f"verdict.{rule}": "; ".join(each.text for each in self.reasons if each.rule == rule)
            for rule in dict.fromkeys(each.rule for each in self.reasons)
        }
        return {"verdict": "crowned" if self.crowned else "refused"} | texts


def gains_by_slice(
    challenger: Standing, reigning: Standing, contest: Contest, metric: str
) -> dict[str, Interval]:
    """By how much the challenger is better, pair by pair; under "" on all arrivals.

    Slices are kinds of examples, and ways to ask about all of them: without profile, say.
    """
    gain_N = _gain(challenger.rank_N, reigning.rank_N, metric)
    samples = {"": Sample(gain_N)}
    samples |= {name: Sample(gain_N, chosen_N) for name, chosen_N in contest.slices.items()}
    for mode in challenger.rank_by_mode.keys() & reigning.rank_by_mode.keys():
        rank_N, other_N = challenger.rank_by_mode[mode], reigning.rank_by_mode[mode]
        asked_N = ~(np.isnan(rank_N) | np.isnan(other_N))
        samples[mode] = Sample(_gain(rank_N, other_N, metric), asked_N)
    found = intervals(list(samples.values()), contest.arrivals.customer_N)
    return dict(zip(samples, found, strict=True))


def _gain(rank_N: np.ndarray, other_N: np.ndarray, metric: str) -> np.ndarray:
    _, value = METRICS[metric]
    return value(rank_N) - value(other_N)


def judge(
    gains: Mapping[str, Interval], reigning: str, latency_ms: float, settings: TrainingSettings
) -> Verdict:
    """Weighs a challenger against who reigns, named in the reasons."""
    rest = {name: gain for name, gain in gains.items() if name}
    reasons = [
        _better(gains[""], reigning, settings),
        *_no_worse(rest, reigning, settings),
        _fast_enough(latency_ms, settings),
    ]
    if settings.smoke:
        reasons.append(Reason("smoke", False, "it shows that all of it runs, no more"))
    return Verdict(tuple(reasons))


def _better(gain: Interval, reigning: str, settings: TrainingSettings) -> Reason:
    name, _ = METRICS[settings.gate_metric]
    least = settings.least_gain
    met = bool(gain.low > least)
    demand = "" if met else f", where the lower bound must be above {least:g}"
    return Reason("metric", met, f"{name} against {reigning}: {_signed(gain)}{demand}")


def _no_worse(
    gains: Mapping[str, Interval], reigning: str, settings: TrainingSettings
) -> Sequence[Reason]:
    """A slice fails where even the upper bound is below what is tolerated."""
    tolerance = settings.slice_tolerance
    worse = {name: gain for name, gain in gains.items() if gain.high < -tolerance}
    if not worse:
        text = f"on none of {len(gains)} worse than {reigning} by more than {tolerance:g}"
        return [Reason("slices", True, text)]
    return [
        Reason("slices", False, f"{name}: {_signed(gain)}, where {-tolerance:g} is tolerated")
        for name, gain in worse.items()
    ]


def _fast_enough(latency_ms: float, settings: TrainingSettings) -> Reason:
    budget = settings.latency_ms
    text = f"{latency_ms:.2f} ms for one customer on one thread, of {budget:g} allowed"
    return Reason("latency", latency_ms <= budget, text)


def _signed(gain: Interval) -> str:
    return f"{gain.mean:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"


def latency_ms(directory: Path, ranker: Ranker) -> float:
    """How long the graph takes for one customer with a full history, on one thread, at best."""
    config, rng = ranker.model.config, np.random.default_rng(1)
    feeds = random_feeds(ranker, 1, config.max_length, min(ASKED, config.item_count), rng)
    session = open_graph(directory / GRAPH, threads=1)
    return min(_once(lambda: session.run(OUTPUTS, feeds)) for _ in range(RUNS)) * 1000


def _once(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
