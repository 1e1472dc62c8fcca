"""The closed loop: worlds that go on under different ways of contacting, and their accounts."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.closed_loop import GREEDY, NOBODY, TWO_SIDED, accounts_of, least_cost, lift
from benchmarks.contacting import Adviser
from benchmarks.parallel_worlds import Account, Course, account, lived, summed
from benchmarks.policy_cost import Runs, runs
from benchmarks.propensities import p_value, sampled
from features.settings import Home
from features.simulation.simulate import Scenario, simulate
from features.vocabulary import load_vocabulary
from serving.model.scorer import Scorer
from tests.artefacts import write_artefact
from tests.policies import even_terms
from tests.worlds import UNTIL, whole

VOCABULARY = load_vocabulary()
SCENARIO = Scenario(customers=50, days=10, items=80, seed=1, until=UNTIL)


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    """A little world, from which others go on."""
    return lived(SCENARIO, Home(tmp_path_factory.mktemp("world")), VOCABULARY, max_records=20)


@pytest.fixture(scope="module")
def adviser(course: Course, tmp_path_factory: pytest.TempPathFactory) -> Adviser:
    """A model of all of that world's items."""
    item_ids = tuple(course.world.catalog.item_ids.to_pylist()[::-1])
    directory = write_artefact(tmp_path_factory.mktemp("model") / "artefact", item_ids=item_ids)
    return Adviser(Scorer(directory, VOCABULARY, threads=1), even_terms())


def test_an_account_holds_the_value_of_all_that_happened() -> None:
    ann, bob = "customer-000001", "customer-000002"
    happened = pa.table(
        {
            "customer_id": [ann, bob, ann, ann, bob, bob],
            "type": ["message", "message", "view", "purchase", "dismissal", "opt-out"],
        }
    )
    found = account(happened, VOCABULARY, 3)
    assert found.customer_N.tolist() == pytest.approx([0.1 + 1.0, -0.2 - 0.5, 0])
    assert found.company_N.tolist() == pytest.approx([1.0, -0.2 - 2.0, 0])
    assert found.contacts_N.tolist() == [1, 1, 0]
    assert found.opt_outs_N.tolist() == [0, 1, 0]
    assert found.to_customers(0.25).tolist() == pytest.approx([0.85, -0.95, 0])
    assert found.to_both(0.25).tolist() == pytest.approx([1.85, -3.15, 0])
    assert summed([found, found]).to_both(0.25).tolist() == pytest.approx([3.7, -6.3, 0])


def of(value: float, contacts: float) -> Account:
    return Account(*(np.array([each]) for each in (value, 0.0, contacts, 0.0)))


def test_lift_is_relative_to_the_size_of_the_other() -> None:
    assert lift(of(3, 0), of(2, 0)) == pytest.approx(50)
    assert lift(of(1, 0), of(1, 20), attention=0.1) == pytest.approx(200)  # 1 beside 1 - 2


def test_contacts_must_cost_so_much_for_restraint_to_pay() -> None:
    ours, greedy = of(90, 100), of(100, 500)
    assert least_cost(ours, greedy) == pytest.approx(0.06)  # 90 - 6 = 1.2 (100 - 30)
    assert lift(ours, greedy, attention=0.06) == pytest.approx(20)


def test_a_course_remembers_what_was_simulated(course: Course, tmp_path: Path) -> None:
    home = Home(tmp_path)
    simulate(SCENARIO, home, vocabulary=VOCABULARY)
    names = whole(home)["customer_id"].to_pylist()
    assert names.count("customer-000003") > 0
    held = [len(each) // 14 for each in course.history_N]
    expected = [min(20, names.count(f"customer-{number:06d}")) for number in range(1, 51)]
    assert held == expected


def test_worlds_go_on_from_one_state(course: Course, adviser: Adviser) -> None:
    before = list(course.history_N)
    first, again = (accounts_of(course, adviser, weeks=1) for _ in range(2))
    assert course.history_N == before
    for name, (only,) in first.items():
        assert only.to_both(0.1).tolist() == again[name][0].to_both(0.1).tolist()
    contacts = {name: only.contacts_N.sum() for name, (only,) in first.items()}
    assert contacts[NOBODY] == 0
    assert 0 < contacts[TWO_SIDED] < contacts[GREEDY]
    assert first[GREEDY][0].contacts_N.max() == 7  # once a day


def test_sampled_decisions_are_as_they_were_logged() -> None:
    random = np.random.default_rng(1)
    found = sampled(5000, random)
    assert found.spread == 0
    assert found.logged_PN.sum(axis=1).tolist() == pytest.approx([1, 1, 1])
    assert p_value(found.count_PN[:1], found.logged_PN[:1], random) > 0.01
    assert p_value(found.count_PN[:1], np.full((1, 12), 1 / 12), random) == 0


def test_the_policy_is_read_from_a_page_of_metrics() -> None:
    page = """# TYPE interplay_stage_seconds histogram
interplay_stage_seconds_bucket{le="0.0005",stage="policy"} 6.0
interplay_stage_seconds_bucket{le="0.001",stage="policy"} 7.0
interplay_stage_seconds_bucket{le="+Inf",stage="policy"} 8.0
interplay_stage_seconds_count{stage="policy"} 8.0
interplay_stage_seconds_sum{stage="policy"} 0.004
interplay_stage_seconds_count{stage="model"} 8.0
interplay_stage_seconds_sum{stage="model"} 0.02
"""
    assert runs(page) - Runs(2, 1, 0.001) == Runs(6, 6, 0.003)
