"""Which candidates are offered, and when silence is better."""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.policy.arbitration import Offers, Silence, arbitrate
from features.policy.declaration import Policy
from features.policy.favours import NO_FAVOURS, NOT_PINNED, Favours
from features.policy.placing import placing
from features.policy.worth import Expected

DRAWS = 20_000
values = st.floats(-1, 1, width=16)


def policy(**sections: Any) -> Policy:
    weights = {"customer": 1.0, "company": 1.0}
    return Policy.model_validate({"version": "1", "weights": weights} | sections)


def offers(
    customer_N: Sequence[float],
    company_N: Sequence[float],
    count_B: Sequence[int],
    rules: Policy | None = None,
    *,
    costs: Sequence[float] | None = None,
    k: int = 10,
    score_N: Sequence[float] | None = None,
    seed: int = 0,
    favours: Favours = NO_FAVOURS,
) -> Offers:
    return arbitrate(
        Expected(np.array(customer_N, float), np.array(company_N, float)),
        np.zeros(len(customer_N)) if score_N is None else np.array(score_N, float),
        count_B,
        policy=rules or policy(),
        cost_B=np.zeros(len(count_B)) if costs is None else np.array(costs, float),
        k_B=[k] * len(count_B),
        random=np.random.default_rng(seed),
        favours=favours,
    )


def slates(given: Offers) -> list[list[int]]:
    bounds = pairwise(accumulate(given.count_B, initial=0))
    return [given.at_M[begin:end].tolist() for begin, end in bounds]


def test_the_most_valuable_to_both_comes_first() -> None:
    given = offers([0.1, 0.5, 0.2, 0.0], [0.5, 0.2, 0.1, 0.9], [3, 1], k=2)
    assert slates(given) == [[1, 0], [3]]
    assert given.value_N.tolist() == pytest.approx([0.6, 0.7, 0.3, 0.9])
    assert given.propensity_M.tolist() == [1, 1, 1]
    assert given.silence_B == [None, None]


def test_among_equals_the_more_probable_comes_first() -> None:
    assert slates(offers([1, 1, 1], [0, 0, 0], [3], score_N=[0.2, 0.9, 0.5])) == [[1, 2, 0]]


def test_what_harms_the_customer_is_not_offered_whatever_it_earns() -> None:
    given = offers([-0.1, 0.01], [100.0, 0.0], [2])
    assert slates(given) == [[1]]
    strict = policy(customer_floor=0.05)
    assert offers([-0.1, 0.01], [100.0, 0.0], [2], strict).silence_B == [Silence.LOW_VALUE]
    lax = policy(customer_floor=-1.0)
    assert slates(offers([-0.1, 0.01], [100.0, 0.0], [2], lax)) == [[0, 1]]


def test_silence_is_better_than_what_is_not_worth_the_attention() -> None:
    given = offers([0.2, 0.2, 0.3], [0.0, 0.0, 0.0], [1, 1, 1, 0], costs=[0.1, 0.2, 0.2, 0.0])
    assert slates(given) == [[0], [], [2], []]
    assert given.silence_B == [None, Silence.LOW_VALUE, None, Silence.NOT_ELIGIBLE]


candidates = st.tuples(
    values, values, st.sampled_from([0.5, 1.0, 3.0]), st.booleans(), st.booleans()
)


@given(
    every=st.lists(st.lists(candidates, max_size=5), min_size=1, max_size=4),
    costs=st.tuples(st.floats(0, 1, width=16), st.floats(0, 1, width=16)),
    share=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_dearer_attention_never_brings_more_contacts(
    every: list[list[tuple[float, float, float, bool, bool]]],
    costs: tuple[float, float],
    share: float,
) -> None:
    """Whatever is drawn, boosted, pinned or new."""
    flat = [each for some in every for each in some]
    customer_N, company_N, boost_N, pinned_N, new_N = np.array(flat).reshape(-1, 5).T
    pin_N = np.where(pinned_N, np.arange(len(flat)), NOT_PINNED)
    rules = policy(exploration={"share": share, "places": 2, "new_items": 0.5})
    favours, counts = Favours(boost_N, pin_N, new_N.astype(bool)), [len(some) for some in every]
    cheap, dear = (
        offers(customer_N, company_N, counts, rules, costs=[cost] * len(every), favours=favours)
        for cost in sorted(costs)
    )
    assert all(less <= more for less, more in zip(dear.count_B, cheap.count_B, strict=True))
    assert set(dear.at_M.tolist()) <= set(cheap.at_M.tolist())


@given(
    worth=st.lists(st.tuples(values, values), min_size=1, max_size=8),
    k=st.integers(1, 9),
    share=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_every_slate_is_of_what_may_be_offered(
    worth: list[tuple[float, float]], k: int, share: float
) -> None:
    customer_N, company_N = zip(*worth, strict=True)
    rules = policy(exploration={"share": share, "places": 3})
    (slate,) = slates(offers(customer_N, company_N, [len(worth)], rules, k=k))
    may = {at for at, (mine, theirs) in enumerate(worth) if mine >= 0 and mine + theirs > 0}
    assert set(slate) <= may
    assert len(slate) == len(set(slate)) == min(k, len(may))


def test_propensities_are_how_often_items_stand_in_their_places() -> None:
    """Chi-square over 20,000 slates of three places, of which two are drawn by lot."""
    customer_N, share, places = [0.4, 0.1, 0.3, -0.5, 0.2], 0.3, 2
    rules = policy(exploration={"share": share, "places": places})
    given = offers(customer_N * DRAWS, [0.0] * 5 * DRAWS, [5] * DRAWS, rules, k=3, seed=3)
    at_SP = given.at_M.reshape(DRAWS, 3) % 5
    propensity_SP = given.propensity_M.reshape(DRAWS, 3)
    by_value, others = [0, 2], share / 4
    for place in range(places):
        seen = np.bincount(at_SP[:, place], minlength=5)
        right = np.array([others, others, others, 0, others])
        right[by_value[place]] += 1 - share
        assert seen[3] == 0
        chosen = right > 0
        distance = ((seen - DRAWS * right)[chosen] ** 2 / (DRAWS * right)[chosen]).sum()
        assert distance < 16.3  # 0.1 % of chance, three degrees of freedom
        assert propensity_SP[:, place] == pytest.approx(right[at_SP[:, place]])
    assert (propensity_SP[:, 2] == 0).all()


def test_a_boost_multiplies_what_both_sides_have_but_never_lifts_over_the_floor() -> None:
    boosted = Favours(boost_N=np.array([3.0, 1.0, 100.0]))
    given = offers([0.1, 0.2, -0.1], [0.0, 0.0, 0.2], [3], costs=[0.15], favours=boosted)
    assert slates(given) == [[0, 1]]
    assert given.value_N.tolist() == pytest.approx([0.15, 0.05, 9.85])
    assert slates(offers([0.1, 0.2, -0.1], [0.0, 0.0, 0.2], [3], costs=[0.15])) == [[1]]


def test_what_is_pinned_stands_first_and_surely_if_it_may_be_offered() -> None:
    pins = Favours(pin_N=np.array([NOT_PINNED, 2, 1, 0, NOT_PINNED, NOT_PINNED]))
    rules = policy(exploration={"share": 0.5, "places": 1})
    values = [0.5, 0.1, 0.2, -0.1, 0.4, 0.3]
    for seed in range(8):
        given = offers(values, [0.0] * 6, [6], rules, k=5, seed=seed, favours=pins)
        assert slates(given)[0][:2] == [2, 1]
        assert slates(given)[0][2] in (0, 4, 5)
        by_value = slates(given)[0][2] == 0
        propensity = 0.5 / 3 + 0.5 * by_value
        assert given.propensity_M.tolist() == pytest.approx([1, 1, propensity, 0, 0])


@pytest.mark.parametrize("new_count", [0, 1, 3, 5])
def test_new_items_get_their_share_of_what_is_drawn(new_count: int) -> None:
    """Chi-square over 20,000 slates of three drawn places, behind one that is pinned."""
    share, new_share, values = 0.5, 0.4, [0.4, 0.1, 0.3, 0.5, 0.2, 0.6]
    exploration = {"share": share, "places": 3, "new_items": new_share}
    new_K, pinned = np.arange(6) < new_count, [5]
    pin_N = np.tile([NOT_PINNED] * 5 + [0], DRAWS)
    rules, favours = policy(exploration=exploration), Favours(None, pin_N, np.tile(new_K, DRAWS))
    given = offers(values * DRAWS, [0.0] * 6 * DRAWS, [6] * DRAWS, rules, k=4, favours=favours)
    at_SP = given.at_M.reshape(DRAWS, 4) % 6
    propensity_SP = given.propensity_M.reshape(DRAWS, 4)
    assert (at_SP[:, 0] == 5).all()
    law_PK = placing(np.array(values), np.ones(6, bool), policy=rules, k=4, pinned=pinned,
                     new_K=new_K)  # fmt: skip
    assert law_PK.sum(axis=1) == pytest.approx([1, 1, 1])
    for place in (1, 2):
        seen, right = np.bincount(at_SP[:, place], minlength=6), law_PK[place]
        chosen = right > 0
        assert not seen[~chosen].any()
        distance = ((seen - DRAWS * right)[chosen] ** 2 / (DRAWS * right)[chosen]).sum()
        assert distance < 18.5  # 0.1 % of chance, four degrees of freedom
        assert propensity_SP[:, place] == pytest.approx(right[at_SP[:, place]])
    if 0 < new_count < 5:
        drawn = law_PK[1] - (1 - share) * (np.arange(6) == 3)
        assert drawn[new_K].sum() == pytest.approx(share * new_share)
