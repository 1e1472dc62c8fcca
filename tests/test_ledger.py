"""The ledger of attention: what is spent, and what of it was shown; joins are followed."""

from pathlib import Path

import pytest

from features.attention import Spendings, decision_hash, showings, spending, spendings
from features.online.known import write_interactions
from features.online.store import Debit, OnlineFeatures
from features.record import RECORD_BYTES
from features.settings import FeatureSettings
from features.vocabulary import load_vocabulary
from tests.interactions import interaction

VOCABULARY = load_vocabulary()


def told(spent: Spendings) -> list[tuple[int, int, float, bool]]:
    columns = (spent.tick, spent.channel, spent.cost, spent.shown)
    return list(zip(*(each.tolist() for each in columns), strict=True))


def test_what_is_spent_is_read_again() -> None:
    first = spending(b"", "d1", cost=1.5, channel=6, now_tick=2**39 + 255)
    second = spending(first, "d2", cost=255.0, channel=31, now_tick=2**39 + 400)
    assert len(first) == RECORD_BYTES
    assert told(spendings(first + second)) == [
        (2**39 + 255, 6, 1.5, False),
        (2**39 + 400, 31, 255.0, False),
    ]
    assert told(spendings(b"")) == []
    hashes = [int.from_bytes(decision_hash(each), "big") for each in ("d1", "d2")]
    assert spendings(first + second).decision.tolist() == hashes


def test_a_record_comes_later_than_all_before_whatever_the_clock_says() -> None:
    first = spending(b"", "d1", cost=1.0, channel=6, now_tick=500)
    second = spending(first, "d2", cost=1.0, channel=6, now_tick=400)
    assert second > first
    assert spendings(second).tick.tolist() == [501]


def test_it_is_shown_once_whoever_says_so_and_however_often() -> None:
    ledger = spending(b"", "d1", cost=1.0, channel=6, now_tick=500)
    ledger += spending(ledger, "d2", cost=2.0, channel=7, now_tick=600)
    assert showings(ledger, ["d3"]) == showings(ledger, []) == b""
    said = showings(ledger, ["d2", "d3"])
    assert said == showings(ledger, ["d2"])
    whole = ledger + said
    assert told(spendings(whole)) == [(500, 6, 1.0, False), (600, 7, 2.0, True)]
    assert showings(whole, ["d2"]) == b""
    assert len(showings(whole, ["d1", "d2"])) == RECORD_BYTES


@pytest.mark.parametrize("type_", ["impression", "view"])
def test_what_names_the_decision_shows_it(tmp_path: Path, type_: str) -> None:
    online = OnlineFeatures(FeatureSettings(home=tmp_path))
    ledger = spending(b"", "d1", cost=1.0, channel=6, now_tick=500)
    online.spend([Debit("ada", b"", ledger)])
    joining = interaction(1, type="identify", anonymous_id="kiosk", item_id=None)
    others = [interaction(2, decision_id="d2"), interaction(3, customer_id="bob", decision_id="d1")]
    write_interactions(online, [joining, *others], VOCABULARY)
    assert not spendings(online.read_known(["ada"], ledgers=True)[0].attention).shown.any()
    device = {"customer_id": None, "anonymous_id": "kiosk"}
    seen = interaction(4, type=type_, decision_id="d1", **device)
    for _ in range(2):
        write_interactions(online, [seen], VOCABULARY)
    known = online.read_known(["ada", "bob", "anonymous:kiosk"], ledgers=True)
    assert [len(each.attention) // RECORD_BYTES for each in known] == [2, 0, 0]
    assert spendings(known[0].attention).shown.tolist() == [True]
