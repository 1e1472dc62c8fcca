"""Evidence: whether a canary fails more often than the champion, or takes longer, by counts.

A run of the canary has failed where the champion answered the same questions instead. Some runs are
paired: the champion answers the same questions just before or after, on the same cores, so that
neither sizes nor lengths nor load lie between the two times.

Both are judged by the cumulative sum of the log likelihood ratio of "bad" over "tolerated", which
never falls below 0 (CUSUM: Page, Continuous inspection schemes, 1954): so a canary that was good
for days and then fails goes as soon as one that fails from the beginning. It is looked at after
every run: one that is no worse than tolerated comes to log EVERY once in EVERY runs on average, or
less often (Lorden, Procedures for reacting to a change in distribution, 1971).
"""

from dataclasses import dataclass, replace
from math import log

from features.rollout import ERRORS, LATENCY, Fault

EVERY = 100_000
FEWEST = 10  # runs; below, nothing is said
SLOWER, NOTICED_S = 1.5, 0.001  # times the champion's, and more than this above it
STUCK_S = 10.0  # a run that has not ended by then will not


@dataclass(frozen=True, slots=True)
class Sum:
    """Since it was 0 the last time: how many runs there were, and how many of them were bad."""

    tolerated: float  # share of the runs
    bad: float
    value: float = 0.0
    runs: int = 0
    count: int = 0

    def after(self, is_bad: bool) -> "Sum":
        """One run later."""
        p, q = (self.bad, self.tolerated) if is_bad else (1 - self.bad, 1 - self.tolerated)
        value = self.value + log(p / q)
        if value <= 0:
            return Sum(self.tolerated, self.bad)
        return replace(self, value=value, runs=self.runs + 1, count=self.count + is_bad)

    @property
    def is_sure(self) -> bool:
        """Whether it is surely more than tolerated."""
        return self.value >= log(EVERY)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What has been counted since a canary came."""

    runs: int = 0
    failures: int = 0
    failing: Sum = Sum(tolerated=0.01, bad=0.05)  # of the runs
    slowing: Sum = Sum(tolerated=0.5, bad=0.75)  # of the paired runs
    stuck_s: float = 0.0  # how long a run has been going on that nobody waits for any more

    def after_run(self, *, failed: bool) -> "Evidence":
        """One run later."""
        return replace(
            self,
            runs=self.runs + 1,
            failures=self.failures + failed,
            failing=self.failing.after(failed),
            stuck_s=0.0,
        )

    def after_pair(self, canary_s: float, champion_s: float) -> "Evidence":
        """Once both have answered the same."""
        return replace(self, slowing=self.slowing.after(is_slower(canary_s, champion_s)))


def is_slower(canary_s: float, champion_s: float) -> bool:
    """Whether one run took so much longer than the other that it counts."""
    return canary_s > SLOWER * champion_s and canary_s > champion_s + NOTICED_S


def fault_of(evidence: Evidence) -> Fault | None:
    """Why the canary is surely worse; None where it is not."""
    failing, slowing = evidence.failing, evidence.slowing
    if evidence.stuck_s > STUCK_S:
        return Fault(LATENCY, f"a run has been going on for {evidence.stuck_s:.0f} s")
    if evidence.runs < FEWEST:
        return None
    if failing.is_sure:
        of = (
            f"{failing.count} of {failing.runs} runs, {evidence.failures} of {evidence.runs} in all"
        )
        return Fault(ERRORS, f"{of}, failed where the champion answered")
    if slowing.is_sure:
        of = f"{slowing.count} of {slowing.runs} runs took more than {SLOWER:g} times as long"
        return Fault(LATENCY, f"{of} as the champion for the same questions")
    return None
