"""Propensities: whether what is logged is how often an item really stands in a place.

Situations are made by lot: candidates with values of which some must not be offered, and some are
new, to the model or because it has seldom met them, which get a share of what is drawn. The policy
decides each again and again, and how often each item stood in each of the places that are drawn is
compared with the propensities that the decisions logged, by a chi-square. How large it would be if
they were right is drawn too, place by place, as the places of a decision depend on one another: the
p-value is the share of draws in which it is at least as large.

S situations   D decisions on each   N candidates of a situation   P places that are drawn
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import compress

import numpy as np

from benchmarks.report import Figure
from features.encoding import ItemIndex
from features.policy.arbitration import arbitrate
from features.policy.declaration import Policy
from features.policy.favours import Favours
from features.policy.worth import Expected
from serving.items.axis import ItemAxis
from serving.policy.favouring import favours_for
from serving.policy.ranking import Best
from serving.question import Question

DECISIONS = 200_000
SITUATIONS, CANDIDATES, PLACES = 20, 12, 3
SELDOM = 5
POLICY = Policy.model_validate(
    {
        "version": "1",
        "exploration": {"share": 0.2, "places": PLACES, "new_items": 0.3, "new_below": SELDOM},
        "customer_floor": 0.0,
    }
)
NEW = 0.25  # of the candidates
SEED = 1
DRAWS = 2000
LEAST_P = 0.01


@dataclass(frozen=True, slots=True)
class Sampled:
    """How often each candidate stood in each place, and with which probability it was logged."""

    count_PN: np.ndarray
    logged_PN: np.ndarray  # 0 where it never stood there
    spread: float  # the largest difference between what was logged of the same


def figures(decisions: int = DECISIONS) -> Iterator[Figure]:
    """Samples decisions, and compares."""
    random = np.random.default_rng(SEED)
    every = [sampled(decisions // SITUATIONS, random) for _ in range(SITUATIONS)]
    count_SPN = np.stack([each.count_PN for each in every])
    logged_SPN = np.stack([each.logged_PN for each in every])
    yield Figure("propensities: decisions", decisions)
    most = max(each.spread for each in every)
    yield Figure("propensities: largest difference between decisions alike", most, goal=1e-12)
    off = float(np.abs(logged_SPN.sum(axis=2) - 1).max())
    yield Figure("propensities: largest distance of their sum from 1", off, goal=1e-9)
    for place in range(PLACES):
        p = p_value(count_SPN[:, place], logged_SPN[:, place], random)
        name = f"propensities, place {place + 1}: p of the chi-square"
        yield Figure(name, p, goal=LEAST_P, better="higher")


def sampled(decisions: int, random: np.random.Generator) -> Sampled:
    """One situation, decided so often."""
    customer_N, company_N = random.normal(0.3, 0.3, (2, CANDIDATES))
    new_N = random.random(CANDIDATES) < NEW
    worth = Expected(np.tile(customer_N, decisions), np.tile(company_N, decisions))
    offers = arbitrate(
        worth,
        np.tile(random.random(CANDIDATES), decisions),
        [CANDIDATES] * decisions,
        policy=POLICY,
        cost_B=np.zeros(decisions),
        k_B=[CANDIDATES] * decisions,
        random=random,
        favours=_favours(new_N, decisions),
    )
    # The same candidates are open in each decision: all have as many places.
    item_DP = (offers.at_M % CANDIDATES).reshape(decisions, -1)[:, :PLACES]
    propensity_DP = offers.propensity_M.reshape(decisions, -1)[:, :PLACES]
    return _counted(item_DP, propensity_DP)


def _favours(new_N: np.ndarray, decisions: int) -> Favours:
    """As serving finds them: of the new ones every other is known, from few interactions."""
    ids = [f"item-{number}" for number in range(CANDIDATES)]
    fresh_N = new_N & (np.cumsum(new_N) % 2 == 0)
    count_V = np.where(new_N, SELDOM - 1, SELDOM)[~fresh_N]
    known = ItemIndex(tuple(compress(ids, ~fresh_N)), count_V)
    question = Question(
        customer_key="",
        channel="web",
        k=CANDIDATES,
        new_items=POLICY.pool,
        new_below=POLICY.exploration.new_below,
    )
    nothing = np.zeros(0)
    candidates = Best([CANDIDATES] * decisions, ids * decisions, nothing, nothing, nothing)
    return favours_for([question] * decisions, candidates, ItemAxis(known, None))


def _counted(item_DP: np.ndarray, propensity_DP: np.ndarray) -> Sampled:
    places = item_DP.shape[1]
    count_PN = np.zeros((places, CANDIDATES))
    least_PN, most_PN = np.full_like(count_PN, np.inf), np.zeros_like(count_PN)
    at = np.broadcast_to(np.arange(places), item_DP.shape), item_DP
    np.add.at(count_PN, at, 1)
    np.minimum.at(least_PN, at, propensity_DP)
    np.maximum.at(most_PN, at, propensity_DP)
    met = count_PN > 0
    return Sampled(count_PN, most_PN, float((most_PN - least_PN)[met].max()))


def p_value(count_SN: np.ndarray, logged_SN: np.ndarray, random: np.random.Generator) -> float:
    """How probable counts at least so far from what was logged would be, were it right."""
    size = int(count_SN[0].sum())
    expected_SN = size * logged_SN
    found = _chi_square(count_SN, expected_SN)
    right_SN = logged_SN / logged_SN.sum(axis=1, keepdims=True)
    drawn = [_chi_square(random.multinomial(size, right_SN), expected_SN) for _ in range(DRAWS)]
    return float(np.mean(np.array(drawn) >= found))


def _chi_square(count_SN: np.ndarray, expected_SN: np.ndarray) -> float:
    met = expected_SN > 0
    return float(((count_SN - expected_SN)[met] ** 2 / expected_SN[met]).sum())
