"""Judging off-line on real logs: the Open Bandit data, where the answer is known.

Two policies ran side by side in a shop for a week, one uniformly random, one Thompson sampling.
From what the random one logged the click rate of the other is estimated, and compared with the
click rate that was logged under it. A row is one impression at one of three positions.

The Thompson sampling changed its mind during the week, and the log holds its probability of what it
showed only. Its distribution is taken from how often it showed each item at each position: an
unbiased estimate of its probabilities' mean over the week, in which clicks play no part; what was
was often shown tells whether the logged probabilities agree. The distribution that `obp` simulates
from its priors of the shop's campaigns is judged beside it, for comparison.

Intervals hold the random log's uncertainty, not that of these frequencies; those of the direct
method hold nothing of its model's error, so it has no goal. The data tell no customers apart: each
row counts as one.

N impressions   A items   K positions
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.open_bandit_log import Log, propensities_against_frequencies, read, shown
from benchmarks.peers.obp_agreement import Agreement, agreement
from benchmarks.peers.running import NotRunError
from benchmarks.report import Figure
from training.offline.certainty import Estimate
from training.offline.estimators import DIRECT
from training.offline.judge import Verdict, compare
from training.offline.logged import policy_over
from training.offline.reward_model import expected_rewards

CAMPAIGNS = ("men", "women")
TABLE_WIDTH = 110


def figures(folder: Path) -> Iterator[Figure]:
    """Judges both campaigns; prints a table of what was found."""
    table = Table(title="From the random log", title_justify="left", title_style="bold")
    for name in ("campaign", "policy", "estimator", "clicks, %", "normal", "bootstrap", "logged"):
        table.add_column(name)
    found = [figure for campaign in CAMPAIGNS for figure in _campaign(folder, campaign, table)]
    Console(width=TABLE_WIDTH).print(table)
    yield from found


def _campaign(folder: Path, campaign: str, table: Table) -> Iterator[Figure]:
    random, thompson = (read(folder, policy, campaign) for policy in ("random", "bts"))
    items = int(random.logged.action_N.max()) + 1
    expected_NA = expected_rewards(random.logged, random.position_N, actions=items)
    shown_KA = shown(thompson, items)
    verdict = _judged(random, shown_KA, expected_NA)
    _add(table, campaign, "frequencies", verdict, thompson.rate)
    for name, value in verdict.values.items():
        goal = None if name == DIRECT else 1.0
        title = f"{campaign}, {name}: logged rate is within"
        yield Figure(title, _within(value, thompson.rate), "of 1", goal=goal, better="higher")
    agree = propensities_against_frequencies(thompson, items)
    yield Figure(f"{campaign}: logged propensities against frequencies, 1 is right", agree)
    yield Figure(f"{campaign}: effective sample", verdict.support.effective, "rows")
    yield Figure(f"{campaign}: largest weight", verdict.support.largest)
    try:
        beside = agreement(campaign, random, shown_KA, expected_NA)
    except NotRunError as error:
        print(f"obp was not asked: {error}")
        beside = Agreement(float("nan"), np.full(shown_KA.shape, np.nan))
    else:
        other = _judged(random, beside.policy_KA, expected_NA)
        _add(table, campaign, "obp's priors", other, thompson.rate)
    yield Figure(f"{campaign}: largest difference from obp", beside.largest_difference, goal=1e-6)
    apart = float(np.abs(beside.policy_KA - shown_KA).sum(axis=1).mean() / 2)
    yield Figure(f"{campaign}: frequencies from obp's priors, total variation", apart)


def _judged(log: Log, probability_KA: np.ndarray, expected_NA: np.ndarray) -> Verdict:
    policy = policy_over(probability_KA[log.position_N], log.logged)
    return compare(log.logged, {"new": policy}, expected_NA=expected_NA)["new"]


def _within(value: Estimate, rate: float) -> float:
    """1 if both intervals hold the rate, else 0."""
    return float(all(each.low <= rate <= each.high for each in (value.normal, value.bootstrap)))


def _add(table: Table, campaign: str, policy: str, verdict: Verdict, rate: float) -> None:
    """Rows of what was estimated, in per cent."""
    for name, value in verdict.values.items():
        intervals = (
            f"{100 * each.low:.3f} to {100 * each.high:.3f}"
            for each in (value.normal, value.bootstrap)
        )
        logged = f"{100 * rate:.3f} {'within' if _within(value, rate) else 'outside'}"
        table.add_row(campaign, policy, name, f"{100 * value.value:.3f}", *intervals, logged)
