"""Replay: logged decisions, decided once more by another policy; each place is a decision.

A place's reward is the two-sided value of what came of the item that stood there, less the
attention that it cost, if it was shown; silence brings 0. It is taken to depend on the customer,
the place and the item, not on what stands elsewhere (Li et al., 2018; see slates.py).

Candidates are those that were considered: what the model would have ranked for other values is not
known. Boosts and pins hold as they did. Who was not turned to for lack of consent or attention is
no decision of the policy's. Where an experiment offers the most probable, whatever it is worth,
nothing is drawn: it cannot tell what another choice would have brought, and is left out.

N places of all decisions   A actions: candidates by their logged value, then silence
K candidates of a decision   P places
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from features.decisions.decision import NOT_OFFERED, LoggedDecision
from features.policy.arms import Arm
from features.policy.declaration import Policy as Declared
from features.policy.placing import placing
from features.policy.worth import expected, value_of, worths_of
from features.vocabulary import Vocabulary
from training.offline.logged import Logged, Policy
from training.offline.reward_model import FOLDS, expected_rewards

JUDGED = ("", "low-value")  # reasons: what it offers, and that nothing is worth it, is its decision
Reward = Mapping[tuple[str, int], float]
"""What came of a place of a decision, by decision id and position; absent: nothing."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Decisions of which all is known that it takes, their places one after the other."""

    decisions: Sequence[LoggedDecision]
    places: int
    logged: Logged
    position_N: np.ndarray
    silence: int  # the action of that name


def replayable(each: LoggedDecision) -> bool:
    """Whether a policy decided it, on candidates that are all logged, for a customer we know."""
    whole = each.considered_count == len(each.candidates.item_ids) > 0
    drawn = bool(each.types) and each.arm != Arm.PROPENSITY_ONLY
    return whole and drawn and each.customer_key is not None and each.reason in JUDGED


def drawn_places(decisions: Sequence[LoggedDecision]) -> int:
    """How many places were drawn, so that it is known how probable they were."""
    drawn = (each.candidates.position_K[each.candidates.propensity_K > 0] for each in decisions)
    return max((int(each.max(initial=NOT_OFFERED)) + 1 for each in drawn), default=0)


def replay_of(decisions: Sequence[LoggedDecision], reward: Reward, *, places: int) -> Replay:
    """The first places of replayable decisions; ValueError where there is none.

    A place whose item was put there with an unknown propensity is left out.
    """
    silence = max((len(each.candidates.item_ids) for each in decisions), default=0)
    rows, kept = [], []
    for each in decisions:
        found = list(_rows(each, reward, min(places, each.k), silence))
        if all(propensity > 0 for _, _, propensity, _ in found):
            kept.append(each)
            rows += [(*row, each.customer_key) for row in found]
    if not rows:
        raise ValueError("no decision can be replayed")
    action, gain, propensity, position, customer = zip(*rows, strict=True)
    logged = Logged(np.array(action), np.array(gain), np.array(propensity), np.array(customer))
    return Replay(kept, places, logged, np.array(position), silence)


def _rows(
    each: LoggedDecision, reward: Reward, places: int, silence: int
) -> Sequence[tuple[int, float, float, int]]:
    """Action, reward, propensity and position of each place."""
    candidates, rank_K = each.candidates, _ranks(each)
    at = {int(p): k for k, p in enumerate(candidates.position_K) if p != NOT_OFFERED}
    return [
        (
            int(rank_K[at[place]]),
            reward.get((each.decision_id, place), 0.0),
            float(candidates.propensity_K[at[place]]),
            place,
        )
        if place in at
        else (silence, 0.0, 1.0, place)
        for place in range(places)
    ]


def _ranks(each: LoggedDecision) -> np.ndarray:
    """The place of each candidate by its logged value: actions of like meaning in all decisions."""
    order_K = np.argsort(-each.candidates.value_K, kind="stable")
    rank_K = np.empty(len(order_K), np.int64)
    rank_K[order_K] = np.arange(len(order_K))
    return rank_K


def policy_in(replay: Replay, declared: Declared, vocabulary: Vocabulary) -> Policy:
    """What a declared policy would have done in these decisions."""
    worths = worths_of(declared, vocabulary)
    all_NA = np.zeros((len(replay.logged), replay.silence + 1))
    first = 0
    for each in replay.decisions:
        worth = expected(_joint(each, vocabulary), each.candidates.price_K, worths)
        cost = declared.attention.cost(each.channel, unasked=each.initiator == "COMPANY")
        ids, boosts = each.candidates.item_ids, each.boosts
        boost_K = np.array([boosts.get(item_id, 1.0) for item_id in ids])
        value_K = value_of(worth, declared) * boost_K - cost
        open_K = (value_K > 0) & (worth.customer_N >= declared.customer_floor)
        open_K &= ~each.candidates.muted_K
        placed_PK = placing(
            value_K,
            open_K,
            policy=declared,
            k=each.k,
            pinned=[list(ids).index(item_id) for item_id in each.pinned_item_ids],
            new_K=np.isin(ids, each.new_item_ids) if each.new_item_ids else None,
        )
        count = min(replay.places, each.k)
        all_NA[first : first + count, _ranks(each)] = placed_PK[:count]
        first += count
    all_NA[:, replay.silence] = 1 - all_NA.sum(axis=1)
    all_NA = np.clip(all_NA, 0, 1)
    logged_N = np.take_along_axis(all_NA, replay.logged.action_N[:, None], axis=1)[:, 0]
    did_N = replay.logged.action_N != replay.silence
    return Policy(logged_N, all_NA, np.where(did_N, all_NA[:, replay.silence], 0.0))


def _joint(each: LoggedDecision, vocabulary: Vocabulary) -> np.ndarray:
    """P(type, item) in the order in which the vocabulary predicts types; 0 for a new one."""
    at = {name: place for place, name in enumerate(each.types)}
    logged_KT = each.candidates.probability_KT
    joint_KT = np.zeros((len(logged_KT), len(vocabulary.predicted)))
    for place, name in enumerate(vocabulary.predicted):
        if name in at:
            joint_KT[:, place] = logged_KT[:, at[name]]
    return joint_KT


def expectations(replay: Replay) -> np.ndarray | None:
    """A reward model's word for each action (N, A), by other customers; None for too few."""
    logged = replay.logged
    if len(np.unique(logged.customer_N)) < FOLDS:
        return None
    bounds = min(0.0, float(logged.reward_N.min())), max(0.0, float(logged.reward_N.max()))
    expected_NA = expected_rewards(
        logged, replay.position_N, actions=replay.silence + 1, bounds=bounds
    )
    expected_NA[:, replay.silence] = 0.0
    return expected_NA
