"""Judging off-line on real logs: the Open Bandit data, where the answer is known.

Two policies ran side by side in a shop for a week, one uniformly random, one Thompson sampling.
From what the random one logged the click rate of the other is estimated, and compared with the
click rate that was logged under it. A row is one impression at one of three positions.

The Thompson sampling changed its mind during the week, and the log holds its probability of what it
showed only. Its distribution is taken from how often it showed each item at each position: an
unbiased estimate of its probabilities' mean over the week, in which clicks play no part; what was
shown often shows whether the logged probabilities agree. The distribution that `obp` simulates from
the priors of the shop's campaign is judged beside it. Intervals hold the
random log's uncertainty, not that of these frequencies; those of the direct method hold nothing of
its model's error, so it has no goal. The data tell no customers apart: each row counts as one.

N impressions   A items   K positions   S slates
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pyarrow import csv
from rich.console import Console
from rich.table import Table

from benchmarks.peers.obp_reference import reference
from benchmarks.peers.running import NotRunError
from benchmarks.report import Figure
from training.offline import slates, weights
from training.offline.certainty import Estimate
from training.offline.estimators import DIRECT, doubly_robust, estimates, inverse_propensity
from training.offline.judge import Verdict, compare
from training.offline.logged import Logged, policy_over
from training.offline.reward_model import expected_rewards

CAMPAIGNS = ("men", "women")
POSITIONS = 3
TABLE_WIDTH = 110
OFTEN = 100  # impressions of an item at a position
MOST, STRENGTH = 3.0, 5.0  # of clipping and shrinkage: any values will do to compare with obp's


@dataclass(frozen=True, slots=True)
class Log:
    """What one policy showed in one campaign, and what was clicked."""

    logged: Logged
    position_N: np.ndarray

    @property
    def rate(self) -> float:
        """Clicks an impression."""
        return float(self.logged.reward_N.mean())


def figures(folder: Path) -> Iterator[Figure]:
    """Judges both campaigns; prints a table of what was found."""
    table = Table(title="From the random log", title_justify="left", title_style="bold")
    for name in ("campaign", "policy", "estimator", "clicks, %", "normal", "bootstrap", "logged"):
        table.add_column(name)
    found = [figure for campaign in CAMPAIGNS for figure in _campaign(folder, campaign, table)]
    Console(width=TABLE_WIDTH).print(table)
    yield from found


def _campaign(folder: Path, campaign: str, table: Table) -> Iterator[Figure]:
    random, thompson = (_read(folder, policy, campaign) for policy in ("random", "bts"))
    items = int(random.logged.action_N.max()) + 1
    expected_NA = expected_rewards(random.logged, random.position_N, actions=items)
    shown_KA = _shown(thompson, items)
    verdict = _judged(random, shown_KA, expected_NA)
    for name, value in verdict.values.items():
        table.add_row(campaign, "frequencies", name, *_row(value, thompson.rate))
        goal = None if name == DIRECT else 1.0
        title = f"{campaign}, {name}: logged rate is within"
        yield Figure(title, _within(value, thompson.rate), "of 1", goal=goal, better="higher")
    agree = _agreement(thompson, items)
    yield Figure(f"{campaign}: logged propensities against frequencies, 1 is right", agree)
    yield Figure(f"{campaign}: effective sample", verdict.support.effective, "rows")
    yield Figure(f"{campaign}: largest weight", verdict.support.largest)
    try:
        answer = reference(_question(campaign, random, shown_KA, expected_NA))
    except NotRunError as error:
        print(f"obp was not asked: {error}")
        yield Figure(f"{campaign}: largest difference from obp", float("nan"), goal=1e-6)
        return
    ours = _ours(random, shown_KA, expected_NA)
    apart = {name: abs(value - float(answer[name])) for name, value in ours.items()}
    yield Figure(f"{campaign}: largest difference from obp", max(apart.values()), goal=1e-6)
    simulated_KA = answer["policy_AL"].T
    for name, value in _judged(random, simulated_KA, expected_NA).values.items():
        table.add_row(campaign, "obp's priors", name, *_row(value, thompson.rate))
    distance = float(np.abs(simulated_KA - shown_KA).sum(axis=1).mean() / 2)
    yield Figure(f"{campaign}: frequencies from obp's priors, total variation", distance)


def _read(folder: Path, policy: str, campaign: str) -> Log:
    columns = ["item_id", "position", "click", "propensity_score"]
    table = csv.read_csv(
        folder / f"{policy}_{campaign}.csv.gz",
        convert_options=csv.ConvertOptions(include_columns=columns),
    )
    item, position, click, propensity = (table[each].to_numpy() for each in columns)
    return Log(Logged(item, click.astype(float), propensity, np.arange(len(item))), position - 1)


def _shown(log: Log, items: int) -> np.ndarray:
    """How often each item was shown at each position, of all that were shown there (K, A)."""
    pair_N = log.position_N * items + log.logged.action_N
    count_KA = np.bincount(pair_N, minlength=POSITIONS * items).reshape(POSITIONS, items)
    return count_KA / count_KA.sum(axis=1, keepdims=True)


def _agreement(log: Log, items: int) -> float:
    """The mean of 1 / propensity, times what share showed it, of what was shown often: 1 is right.

    Each impression of a pair counts 1 / p, so that they sum to all impressions of the position.
    """
    pair_N = log.position_N * items + log.logged.action_N
    count_P = np.bincount(pair_N, minlength=POSITIONS * items)
    sum_P = np.bincount(pair_N, 1 / log.logged.propensity_N, len(count_P))
    right_P = np.bincount(log.position_N, minlength=POSITIONS).repeat(items)
    often_P = count_P >= OFTEN
    return float(np.average((sum_P / right_P)[often_P], weights=count_P[often_P]))


def _judged(log: Log, probability_KA: np.ndarray, expected_NA: np.ndarray) -> Verdict:
    policy = policy_over(probability_KA[log.position_N], log.logged)
    return compare(log.logged, {"new": policy}, expected_NA=expected_NA)["new"]


def _within(value: Estimate, rate: float) -> float:
    """1 if both intervals hold the rate, else 0."""
    return float(all(each.low <= rate <= each.high for each in (value.normal, value.bootstrap)))


def _row(value: Estimate, rate: float) -> Iterator[str]:
    """In per cent."""
    yield f"{100 * value.value:.3f}"
    for each in (value.normal, value.bootstrap):
        yield f"{100 * each.low:.3f} to {100 * each.high:.3f}"
    yield f"{100 * rate:.3f} {'within' if _within(value, rate) else 'outside'}"


# ---- Agreement with obp ------------------------------------------------------------------------


def _ours(log: Log, probability_KA: np.ndarray, expected_NA: np.ndarray) -> dict[str, float]:
    """What obp is asked too, by the names of its answers."""
    logged, policy = log.logged, policy_over(probability_KA[log.position_N], log.logged)
    assert policy.all_NA is not None
    weight_N = weights.importance(policy.logged_N, logged.propensity_N)
    cut_N, small_N = weights.switched(weight_N, MOST), weights.shrunken(weight_N, STRENGTH)
    few_N = weights.clipped(weight_N, MOST)
    slate = _slates(log, probability_KA)
    weight_SK = slates.importance_by_position(
        slate["slate_probability_NL"], slate["slate_propensity_NL"]
    )
    found = {
        **estimates(logged, policy, expected_NA),
        "clipped": inverse_propensity(few_N, logged.reward_N),
        "switch-DR": doubly_robust(cut_N, logged, policy.all_NA, expected_NA),
        "DRos": doubly_robust(small_N, logged, policy.all_NA, expected_NA),
        "slates": slates.inverse_propensity(weight_SK, slate["slate_reward_NL"]),
    }
    return {name: ratio.value for name, ratio in found.items()}


def _question(
    campaign: str, log: Log, probability_KA: np.ndarray, expected_NA: np.ndarray
) -> dict[str, object]:
    """The arrays, in obp's shapes."""
    rows = len(log.logged)
    return {
        "campaign": campaign,
        "most": MOST,
        "strength": STRENGTH,
        "reward_N": log.logged.reward_N,
        "action_N": log.logged.action_N,
        "propensity_N": log.logged.propensity_N,
        "position_N": log.position_N,
        "probability_NAL": np.tile(probability_KA.T, (rows, 1, 1)),
        "expected_NAL": np.repeat(expected_NA[..., None], POSITIONS, axis=2),
        **_slates(log, probability_KA),
    }


def _slates(log: Log, probability_KA: np.ndarray) -> dict[str, np.ndarray]:
    """Rows of the three positions side by side: no slates that were seen, but good to compare."""
    count = int(np.bincount(log.position_N).min())
    rows_SK = np.stack(
        [np.flatnonzero(log.position_N == each)[:count] for each in range(POSITIONS)], axis=1
    )
    action_SK = log.logged.action_N[rows_SK]
    return {
        "slate_reward_NL": log.logged.reward_N[rows_SK],
        "slate_propensity_NL": log.logged.propensity_N[rows_SK],
        "slate_probability_NL": probability_KA[np.arange(POSITIONS), action_SK],
    }
