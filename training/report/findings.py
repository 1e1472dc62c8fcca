"""How sure the figures of a contest are: of each contender, on each slice, and against the model.

N examples
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.judging.evaluation import gains, hits
from training.judging.intervals import Interval, Sample, intervals
from training.judging.judging import BY_CONTENT, WITHOUT_PROFILE, Contest, Standing
from training.judging.slices import NEW_CUSTOMERS, UNSEEN

ALL = "all"
FEWEST = 5  # customers of a slice that is told of: fewer could be recognized
BRIEF = (ALL, NEW_CUSTOMERS, WITHOUT_PROFILE, UNSEEN, BY_CONTENT)  # what a terminal shows


@dataclass(frozen=True, slots=True)
class Contender:
    """A standing with its intervals."""

    standing: Standing
    ndcg: Interval
    hit_rate: Interval
    mrr: Interval
    log_loss: Interval | None
    behind: Interval | None  # by how much the judged one has more NDCG; None of itself


@dataclass(frozen=True, slots=True)
class SliceRow:
    """The NDCG of all contenders on one slice."""

    name: str
    examples: int
    customers: int
    ndcgs: tuple[Interval, ...]  # by contender


@dataclass(frozen=True, slots=True)
class Asked:
    """Some arrivals, and how they are asked about."""

    name: str
    chosen_N: np.ndarray
    mode: str = ""

    def ranks(self, standing: Standing) -> np.ndarray:
        """All ranks; those that are not chosen say nothing."""
        return standing.rank_by_mode.get(self.mode, standing.rank_N)


def contenders(standings: Sequence[Standing], contest: Contest) -> list[Contender]:
    """All of them; the last one is who is judged."""
    return [_contender(each, standings[-1], contest) for each in standings]


def _contender(standing: Standing, judged: Standing, contest: Contest) -> Contender:
    rank_N, customer_N = standing.rank_N, contest.arrivals.customer_N
    values = [gains(rank_N), hits(rank_N), 1 / rank_N, gains(judged.rank_N) - gains(rank_N)]
    ndcg, hit_rate, mrr, behind = intervals([Sample(each) for each in values], customer_N)
    log_loss = None
    if standing.log_loss_N is not None:
        (log_loss,) = intervals([Sample(standing.log_loss_N)], contest.moments.customer_N)
    return Contender(
        standing, ndcg, hit_rate, mrr, log_loss, None if standing is judged else behind
    )


def slice_rows(
    standings: Sequence[Standing], contest: Contest, names: Sequence[str] = ()
) -> list[SliceRow]:
    """Of these slices, or of all that are large enough to be told of."""
    asked = [
        each
        for each in all_asked(standings[-1], contest)
        if (each.name in names or not names) and _customers(each, contest) >= FEWEST
    ]
    samples = [
        Sample(gains(each.ranks(standing)), each.chosen_N)
        for each in asked
        for standing in standings
    ]
    found = iter(intervals(samples, contest.arrivals.customer_N))
    return [
        SliceRow(
            each.name,
            int(each.chosen_N.sum()),
            _customers(each, contest),
            tuple(next(found) for _ in standings),
        )
        for each in asked
    ]


def all_asked(judged: Standing, contest: Contest) -> list[Asked]:
    """All arrivals, each slice of them, and other ways in which the judged one was asked."""
    everything = np.ones(len(contest.arrivals), bool)
    return [
        Asked(ALL, everything),
        *(Asked(name, chosen_N) for name, chosen_N in contest.slices.items()),
        *(Asked(mode, ~np.isnan(rank_N), mode) for mode, rank_N in judged.rank_by_mode.items()),
    ]


def _customers(asked: Asked, contest: Contest) -> int:
    return len(np.unique(contest.arrivals.customer_N[asked.chosen_N]))
