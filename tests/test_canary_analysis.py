"""What a canary is worth online: surely worse is withdrawn, surely no worse may be promoted."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from features.artefact import CHAMPION
from features.decisions import parts
from features.decisions.decision import table_of
from features.history.partitions import append, as_table
from features.rollout import CANARY, REASON, Rollout, kind_of, tags_of
from features.settings import Home
from features.vocabulary import load_vocabulary
from tests.artefacts import crown, publish, write_artefact
from tests.decided import NOON, decided
from tests.interactions import interaction
from training.__main__ import main
from training.publishing import Publisher
from training.rollout.analysis import Analysis, Verdict, analyse

CUSTOMERS = 1200
DAY = timedelta(days=1)
CANARY_OF_HALF = Rollout(CANARY, "2", 0.5, NOON.isoformat())
Buys = Callable[[int, bool], bool]
"""Whether a customer buys, by number and by whether it is one of the canary's."""


def fill(home: Home, buys: Buys) -> None:
    """Each customer is answered once, and some then buy; the last day is there only to end it.

    Every tenth decision of the canary's customers had to be made by the champion.
    """
    keys = [f"customer-{number}" for number in range(CUSTOMERS)]
    decisions, purchases = [], []
    for number, (key, taken) in enumerate(zip(keys, CANARY_OF_HALF.takes(keys), strict=True)):
        version = "2" if taken and number % 10 else "1"
        decisions.append(decided(number, customer_key=key, model_version=version))
        if buys(number, taken):
            when = NOON + timedelta(minutes=number + 1)
            fields = {"customer_id": key, "event_time": when, "type": "purchase"}
            purchases.append(interaction(number, **fields))
    later = decided(CUSTOMERS + 2 * 24 * 60, customer_key="later")
    random = decided(5, customer_key="other", experiment="spring", arm="random-eligible")
    before = decided(-5, customer_key="early")
    parts.append(home.decisions, table_of([before, *decisions, random, later]))
    append(home.history, as_table(purchases), kind="test")


def analysed(home: Home, buys: Buys) -> Analysis:
    fill(home, buys)
    vocabulary = load_vocabulary()
    found = analyse(home, vocabulary, CANARY_OF_HALF, since=NOON, window=DAY)
    assert found is not None
    assert sum(found.customers.values()) == CUSTOMERS
    assert found.waiting == 1
    return found


def seldom(number: int, taken: bool) -> bool:
    return number % (10 if taken else 2) == 0


def often(number: int, taken: bool) -> bool:
    return number % (2 if taken else 10) == 0


def alike(number: int, taken: bool) -> bool:
    return number % 3 == 0


def test_customers_belong_to_it_by_the_lot_whoever_answered(tmp_path: Path) -> None:
    found = analysed(Home(tmp_path), seldom)
    keys = [f"customer-{number}" for number in range(CUSTOMERS)]
    assert found.customers[CANARY] == sum(CANARY_OF_HALF.takes(keys))


def test_less_value_is_surely_worse(tmp_path: Path) -> None:
    found = analysed(Home(tmp_path), seldom)
    # A purchase is worth 1 to either side: about 0.2 a customer, and 1 of the champion's.
    assert found.value == pytest.approx(1.0, abs=0.1)
    assert found.differences["both"].mean == pytest.approx(-0.8, abs=0.15)
    assert found.differences["company"].mean == pytest.approx(-0.4, abs=0.08)
    assert found.verdict(tolerated=0.02) is Verdict.WORSE
    assert str(found.fault).startswith("value: -0.8")


def test_more_value_is_surely_no_worse(tmp_path: Path) -> None:
    assert analysed(Home(tmp_path), often).verdict(tolerated=0.0) is Verdict.GOOD


def test_about_the_same_is_not_yet_sure_or_good_enough(tmp_path: Path) -> None:
    found = analysed(Home(tmp_path), alike)
    assert found.verdict(tolerated=0.02) is Verdict.OPEN
    assert found.verdict(tolerated=0.5) is Verdict.GOOD


def test_a_few_customers_tell_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path)
    decisions = [decided(n, customer_key=f"customer-{n}") for n in (*range(50), 5000)]
    parts.append(home.decisions, table_of(decisions))
    found = analyse(home, load_vocabulary(), CANARY_OF_HALF, since=NOON, window=DAY)
    assert found is not None and found.verdict(tolerated=1.0) is Verdict.OPEN
    later = NOON + timedelta(days=30)
    assert analyse(home, load_vocabulary(), CANARY_OF_HALF, since=later, window=DAY) is None


# ---- From the shell ----------------------------------------------------------------------------


def standing(tmp_path: Path, buys: Buys) -> tuple[Home, Publisher]:
    """A home with a champion and a canary of half of the customers."""
    home = Home(tmp_path / "home")
    for name in ("first", "second"):
        publish(home, write_artefact(tmp_path / name))
    crown(home, "1")
    publisher = Publisher(home)
    publisher.note("2", tags_of(CANARY_OF_HALF))
    publisher.point(CANARY, "2")
    fill(home, buys)
    return home, publisher


def said(home: Home, *words: str) -> str:
    arguments = [*words, "--home", str(home.path)]
    return " ".join(CliRunner().invoke(main, arguments, catch_exceptions=False).output.split())


def test_a_watch_withdraws_what_is_surely_worse(tmp_path: Path) -> None:
    home, publisher = standing(tmp_path, seldom)
    publisher.note("2", {"lineage.newest_time": (NOON + 9 * DAY).isoformat()})  # nothing is new
    told = said(home, "watch")
    assert "surely worse. It is withdrawn: the champion answers all from now on." in told
    assert "It is time to train" in told or "Nothing has fired" in told
    assert (publisher.version_of(CHAMPION), publisher.version_of(CANARY)) == ("1", "")
    assert kind_of(publisher.tags("2")[REASON]) == "value"
    assert "The canary" not in said(home, "watch")


def test_what_is_surely_no_worse_is_promoted_where_that_is_asked(tmp_path: Path) -> None:
    home, publisher = standing(tmp_path, often)
    told = said(home, "analyze")
    assert told.endswith("surely no worse. It may be promoted: python -m training promote")
    assert publisher.version_of(CANARY) == "2"
    assert said(home, "analyze", "--promote").endswith("it is the champion from now on.")
    assert (publisher.version_of(CHAMPION), publisher.version_of(CANARY)) == ("2", "")
    assert said(home, "analyze") == "There is no canary."


def test_a_canary_is_compared_with_the_champion_of_now(tmp_path: Path) -> None:
    home, publisher = standing(tmp_path, seldom)
    publisher.crown("1")  # anew, long after what has been decided
    told = said(home, "analyze")
    assert "no decision since" in told
    assert publisher.version_of(CANARY) == "2"
