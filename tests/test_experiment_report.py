"""python -m training report: what it prints of an experiment, and the page that it writes."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from features.decisions import parts
from features.decisions.decision import table_of
from features.history.partitions import append, as_table
from features.policy.arms import Arm
from features.settings import Home
from features.vocabulary import load_vocabulary
from tests.decided import NOON, decided
from tests.interactions import interaction
from training.__main__ import main
from training.experiments.comparing import BASES, arm_rows, arms_of, compared, contact_rate, lift
from training.experiments.reading import Observed, observe
from training.settings import TrainingError

CUSTOMERS = 900
ARMS = ("full", "no-contact", "random-eligible")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Customers come by turns; in full every second one buys in the app, elsewhere every fifth.

    In full each is also turned to by email, of the others nobody.
    """
    path = tmp_path_factory.mktemp("home")
    decisions, purchases = [], []
    for number in range(CUSTOMERS):
        arm, customer = ARMS[number % 3], f"customer-{number}"
        known = {"customer_key": customer, "experiment": "spring", "arm": arm}
        silent = {} if arm == "full" else {"reason": "holdout"}
        asking = {"initiator": "COMPANY", "channel": "email"}
        decisions += [decided(number, **known), decided(number, **known, **asking, **silent)]
        if number // 3 % (2 if arm == "full" else 5) == 0:
            when = NOON + timedelta(minutes=number + 1)
            fields = {"customer_id": customer, "event_time": when, "type": "purchase"}
            purchases.append(interaction(number, channel="app", **fields))
    later = decided(CUSTOMERS + 2 * 24 * 60, customer_key="later")
    parts.append(Home(path).decisions, table_of([*decisions, later]))
    append(Home(path).history, as_table(purchases), kind="test")
    return path


@pytest.fixture(scope="module")
def observed(home: Path) -> Observed:
    return observe(Home(home), load_vocabulary(), window=timedelta(days=1))


def test_the_arms_that_others_are_compared_with_are_arms() -> None:
    assert set(BASES) == {Arm.FULL, Arm.NO_CONTACT}


def test_each_arm_has_its_value_and_its_contacts(observed: Observed) -> None:
    assert arms_of(observed) == list(ARMS)
    full, left_alone, _ = arm_rows(observed)
    assert (full.customers, left_alone.customers) == (300, 300)
    assert full.value_by_side["customer"].mean == pytest.approx(0.5)
    assert left_alone.value_by_side["both"].mean == pytest.approx(0.4)
    assert (full.contacts.mean, contact_rate(observed, "full", "email")) == (1.0, 1.0)
    assert (left_alone.contacts.mean, contact_rate(observed, "no-contact")) == (0.0, 0.0)
    assert contact_rate(observed, "full", "sms") is None


def test_a_lift_is_surely_one_or_not(observed: Observed) -> None:
    assert compared(observed) == [
        ("full", ["no-contact", "random-eligible"]),
        ("no-contact", ["full", "random-eligible"]),
    ]
    found = lift(observed, "no-contact", "full", "customer")
    assert found.interval.mean == pytest.approx(-0.3)
    assert found.sure
    assert not lift(observed, "random-eligible", "no-contact", "customer").sure


def test_the_report_says_it_all(home: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    arguments = ["report", "--home", str(home), "--html", str(page), "--window-days", "1"]
    told = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert "Experiment spring: 900 customers, each for 1 days" in told.output
    assert re.search(r"no-contact +300 +0.200 ± 0.082", told.output)
    assert re.search(r"full +1.000 +100.0% +100.0%", told.output)
    assert re.search(r"Above full, both sides, by channel\n", told.output)
    assert re.search(r"app +-0.600 ± 0.237", told.output)
    html = page.read_text()
    assert html.count("<svg") == 4
    assert "purchase" in html
    assert "customer-" not in html
    names = re.findall(r'id="([^"]+)"', html)
    assert len(names) == len(set(names))


def test_a_window_is_a_time() -> None:
    with pytest.raises(TrainingError, match=r"window-days is 0\.0: must be"):
        CliRunner().invoke(main, ["report", "--window-days", "0"], catch_exceptions=False)
