"""Evidence: whether a canary fails more often than the champion, or takes longer, by counts.

A run of the canary has failed where the champion answered the same questions instead. Some runs are
paired: the champion answers the same questions just before or after, on the same cores, so that
neither sizes nor lengths nor load lie between the two times.

Both are judged by Wald's sequential probability ratio test (Sequential tests of statistical
hypotheses, 1945): of k in n, the likelihood ratio of "bad" over "tolerated". It may be looked at
after every run: for a canary that is no worse than tolerated it ever comes to 1 / ALPHA with a
probability of at most ALPHA (Ville's inequality), in each process and by each of the two tests.
"""

from dataclasses import dataclass
from math import log

from features.rollout import ERRORS, LATENCY, Fault

ALPHA = 0.001
FEWEST = 10  # runs; below, nothing is said
FAILED_TOLERATED, FAILED_BAD = 0.01, 0.05  # of the runs
SLOWER_TOLERATED, SLOWER_BAD = 0.5, 0.75  # of the paired runs
SLOWER, NOTICED_S = 1.5, 0.001  # times the champion's, and more than this above it
STUCK_S = 10.0  # a run that has not ended by then will not


@dataclass(frozen=True, slots=True)
class Evidence:
    """What has been counted since a canary came."""

    runs: int = 0
    failed: int = 0  # of them
    paired: int = 0
    slower: int = 0  # of the paired
    stuck_s: float = 0.0  # how long a run has been going on that nobody waits for any more


def is_slower(canary_s: float, champion_s: float) -> bool:
    """Whether one run took so much longer than the other that it counts."""
    return canary_s > SLOWER * champion_s and canary_s > champion_s + NOTICED_S


def fault_of(evidence: Evidence) -> Fault | None:
    """Why the canary is surely worse; None where it is not."""
    runs, failed, paired, slower = evidence.runs, evidence.failed, evidence.paired, evidence.slower
    if evidence.stuck_s > STUCK_S:
        return Fault(LATENCY, f"a run has been going on for {evidence.stuck_s:.0f} s")
    if _is_sure(failed, runs, FAILED_TOLERATED, FAILED_BAD):
        return Fault(ERRORS, f"{failed} of {runs} runs failed where the champion answered")
    if _is_sure(slower, paired, SLOWER_TOLERATED, SLOWER_BAD):
        text = f"{slower} of {paired} runs took more than {SLOWER:g} times as long as the champion"
        return Fault(LATENCY, f"{text} for the same questions")
    return None


def _is_sure(count: int, of: int, tolerated: float, bad: float) -> bool:
    gain, loss = log(bad / tolerated), log((1 - bad) / (1 - tolerated))
    return of >= FEWEST and count * gain + (of - count) * loss >= -log(ALPHA)
