"""Who is in which arm of an experiment, and what an arm makes of candidates."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from features.policy.arbitration import Offers, Silence, arbitrate
from features.policy.arms import Arm, arms_of, lots, treatment
from features.policy.declaration import DEFAULT_PATH, Policy, PolicyError, parse_policy
from features.policy.experiment import Experiment
from features.policy.worth import Expected

DRAWS = 20_000
SHARES = {
    "no_contact": 0.1,
    "no_personalization": 0.2,
    "propensity_only": 0.05,
    "random_eligible": 0.05,
}
FAULTY = b"""version: spring-2
experiment:
  name: ''
  shares:
    no_contact: 1.5
    no_contct: 0.1
"""
TOO_MUCH = b"""version: spring-2
experiment:
  shares: {no_contact: 0.5, propensity_only: 0.6}
"""


def experiment(name: str = "always-on") -> Experiment:
    return Experiment.model_validate({"name": name, "shares": SHARES})


def offers(arm_B: list[Arm | None], customer_N: list[float], k: int = 2, **rules: object) -> Offers:
    """Every customer has the same three candidates, the first the most probable."""
    policy = Policy.model_validate({"version": "1", "weights": {"company": 0.0}} | rules)
    count_B, k_B = [len(customer_N)] * len(arm_B), [k] * len(arm_B)
    customer_N = customer_N * len(arm_B)
    return arbitrate(
        Expected(np.array(customer_N), np.zeros(len(customer_N))),
        np.array([0.5, 0.3, 0.2] * len(arm_B)),
        count_B,
        policy=policy,
        cost_B=np.full(len(arm_B), 0.1),
        k_B=k_B,
        random=np.random.default_rng(3),
        how=treatment(arm_B, policy.exploration, k_B),
    )


def test_a_lot_is_the_same_in_every_process() -> None:
    keys = ["ada", "grace", "anonymous:tablet"]
    assert lots("always-on", keys).tolist() == pytest.approx(
        [0.84660773, 0.74171815, 0.46366725], abs=1e-8
    )
    assert lots("spring", ["ada"]).tolist() == pytest.approx([0.66383631], abs=1e-8)
    assert lots("spring", []).tolist() == []


def test_arms_have_their_shares() -> None:
    keys = [f"customer-{number}" for number in range(10_000)]
    counts = Counter(arms_of(experiment(), keys))
    assert counts == {
        Arm.NO_CONTACT: 980,
        Arm.NO_PERSONALIZATION: 1991,
        Arm.PROPENSITY_ONLY: 512,
        Arm.RANDOM_ELIGIBLE: 506,
        Arm.FULL: 6011,
    }


def test_another_experiment_draws_anew() -> None:
    keys = [f"customer-{number}" for number in range(10_000)]
    both = zip(arms_of(experiment(), keys), arms_of(experiment("spring"), keys), strict=True)
    counts = Counter(both)
    assert counts[Arm.NO_PERSONALIZATION, Arm.NO_PERSONALIZATION] == pytest.approx(400, abs=60)


def test_nobody_has_an_arm_unless_it_is_declared() -> None:
    assert arms_of(parse_policy(DEFAULT_PATH.read_bytes(), DEFAULT_PATH).experiment, ["ada"]) == [
        None
    ]


def test_faults_have_lines() -> None:
    with pytest.raises(PolicyError) as raised:
        parse_policy(FAULTY, Path("spring.yaml"))
    assert sorted(str(raised.value).splitlines()) == [
        "spring.yaml:3: experiment.name is '': String should have at least 1 character",
        "spring.yaml:5: experiment.shares.no_contact is 1.5: "
        "Input should be less than or equal to 1",
        "spring.yaml:6: experiment.shares.no_contct is 0.1: Extra inputs are not permitted",
    ]


def test_shares_add_up_to_one_at_most() -> None:
    with pytest.raises(PolicyError, match=r"spring.yaml:3: experiment.shares .*add up to 1.1:"):
        parse_policy(TOO_MUCH, Path("spring.yaml"))
    tenths = {"no_contact": 0.7, "no_personalization": 0.1, "propensity_only": 0.2}
    assert Experiment.model_validate({"shares": tenths}).shares.total == pytest.approx(1)


def test_by_probability_alone_silence_does_not_compete_but_the_floor_holds() -> None:
    given = offers([Arm.FULL, Arm.PROPENSITY_ONLY], [0.05, 0.4, 0.02])
    assert given.count_B == [1, 2]
    assert given.at_M.tolist() == [1, 3, 4]
    assert given.propensity_M.tolist() == [1, 1, 1]
    assert given.value_N[3] == pytest.approx(0.5 * 0.05 - 0.1)
    harmful = offers([Arm.PROPENSITY_ONLY] * 2, [-0.1, -0.1, -0.1])
    assert harmful.silence_B == [Silence.LOW_VALUE] * 2


def test_by_probability_alone_nothing_is_drawn() -> None:
    given = offers([Arm.PROPENSITY_ONLY] * 100, [1, 1, 1], exploration={"share": 1.0})
    assert (given.at_M.reshape(100, 2) % 3 == [0, 1]).all()


def test_at_random_each_is_as_likely_in_each_place() -> None:
    """Chi-square over 20,000 slates of two of three, beside as many that are not drawn."""
    given = offers([Arm.RANDOM_ELIGIBLE, Arm.FULL] * DRAWS, [0.9, 0.5, 0.7])
    at_SBP = given.at_M.reshape(DRAWS, 2, 2) % 3
    propensity_SBP = given.propensity_M.reshape(DRAWS, 2, 2)
    assert propensity_SBP[:, 0] == pytest.approx(1 / 3)
    assert (propensity_SBP[:, 1] == 1).all()
    assert (at_SBP[:, 1] == [0, 2]).all()
    for place in range(2):
        seen = np.bincount(at_SBP[:, 0, place], minlength=3)
        distance = ((seen - DRAWS / 3) ** 2 / (DRAWS / 3)).sum()
        assert distance < 13.8  # 0.1 % of chance, two degrees of freedom


def test_at_random_is_among_what_may_be_offered() -> None:
    given = offers([Arm.RANDOM_ELIGIBLE] * 100, [0.9, 0.1, 0.7], k=3)
    assert given.count_B == [2] * 100
    assert set((given.at_M % 3).tolist()) == {0, 2}
    assert given.propensity_M == pytest.approx(0.5)
