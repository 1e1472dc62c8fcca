"""Erasure: what a tombstone covers, and that nothing of an erased customer is left anywhere."""

import csv
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from features.history.partitions import count, scan, write_part
from features.interaction import Interaction
from features.log.sqlite import SqliteLog
from features.privacy.customer_history import read_customer
from features.privacy.erasure import NO_ERASURES, Erasures, erased_name
from features.privacy.forgetting import Receipt, note, sweep
from features.privacy.scrubbing import holds, scrub
from features.record import tick
from features.settings import Home
from tests.interactions import START, interaction, table_of

ERASED_TICK = tick(START + timedelta(seconds=10))
ERASURES = Erasures({erased_name("ada"): ERASED_TICK, erased_name("anonymous:kiosk"): ERASED_TICK})
ADA, BOB = {"customer_id": "ada"}, {"customer_id": "bob"}
KIOSK = {"customer_id": None, "anonymous_id": "kiosk"}


def test_a_name_does_not_tell_whose_it_is() -> None:
    assert erased_name("ada") == erased_name("ada")
    assert len(erased_name("ada")) == 32
    assert "ada" not in erased_name("ada")
    assert erased_name("kiosk") != erased_name("anonymous:kiosk")


def test_what_was_before_the_erasure_is_refused_without_naming_the_id() -> None:
    refused = ERASURES.violation(interaction(9))
    assert refused is not None
    assert str(refused) == (
        "customer_id is an erased customer, with event_time 2026-01-01T00:00:09+00:00: "
        "was erased at 2026-01-01T00:00:10+00:00; only interactions after that are kept"
    )
    assert ERASURES.violation(interaction(10)) is not None
    assert ERASURES.violation(interaction(11)) is None  # who returns is a new customer
    assert ERASURES.violation(interaction(9, **BOB)) is None
    assert NO_ERASURES.violation(interaction(9)) is None
    device = ERASURES.violation(interaction(9, **KIOSK))
    assert device is not None
    assert device.field == "anonymous_id"


def test_others_keep_their_interactions_with_an_erased_device_but_not_the_device() -> None:
    shared = interaction(9, customer_id="bob", anonymous_id="kiosk")
    assert ERASURES.kept(shared) == interaction(9, customer_id="bob")
    assert ERASURES.kept(interaction(9, **KIOSK)) is None
    late = interaction(11, **KIOSK)
    assert ERASURES.kept(late) is late


SOME = st.lists(
    st.builds(
        lambda number, who, device: interaction(
            number, customer_id=who, anonymous_id=device if who else device or "kiosk"
        ),
        st.integers(0, 20),
        st.sampled_from(["ada", "bob", None]),
        st.sampled_from(["kiosk", "phone", None]),
    ),
    max_size=12,
)


@given(SOME)
def test_rows_and_interactions_are_judged_alike(some: list[Interaction]) -> None:
    expected = [now for each in some if (now := ERASURES.kept(each)) is not None]
    rows = table_of(some)
    kept = ERASURES.kept_rows(rows)
    assert kept == table_of(expected)
    assert (kept is rows) == (some == expected)
    refused = {at: why for at, each in enumerate(some) if (why := ERASURES.violation(each))}
    assert ERASURES.violations(rows) == refused


def held(home: Home, log: SqliteLog) -> list[str]:
    """The interaction ids of log and history."""
    rows = [each.interaction.interaction_id for each in log.read(after=0, limit=99)]
    found = duckdb.sql(f"SELECT interaction_id FROM {scan(home.history)}").fetchall()
    return sorted({*rows, *(each for (each,) in found)}, key=int)


def test_the_devices_of_a_customer_are_those_that_belong_to_no_other(tmp_path: Path) -> None:
    home = Home(tmp_path)
    identify = {"type": "identify", "item_id": None}
    rows = [
        interaction(0, customer_id=None, anonymous_id="phone"),
        interaction(1, anonymous_id="phone", **identify),
        interaction(2, customer_id="bob", anonymous_id="kiosk", **identify),
        interaction(3, anonymous_id="kiosk", **identify),  # the kiosk is bob's already
        interaction(4, **KIOSK),
        interaction(5),
    ]
    write_part(home.history, table_of(rows[:3]), part="a")
    with SqliteLog(home.log) as log:
        log.append([rows[2:]])
        ada = read_customer(log, home.history, "ada")
        assert ada.keys == ["ada", "anonymous:phone"]
        assert [each.interaction_id for each in ada.interactions] == ["0", "1", "3", "5"]
        bob = read_customer(log, home.history, "bob")
        assert [each.interaction_id for each in bob.interactions] == ["2", "4"]
        phone = read_customer(log, home.history, "anonymous:phone")
        assert [each.interaction_id for each in phone.interactions] == ["0"]
        assert read_customer(log, home.history, "eve").interactions == ()


def fill(home: Home, log: SqliteLog, erased: str) -> None:
    """Log, history, reject file and truth, with rows of the erased one among others."""
    rows = [
        interaction(n, customer_id=erased if n % 3 else "bob", session_id=f"{erased}-{n}" * (n % 3))
        for n in range(9)
    ]
    rows.append(interaction(9, customer_id=None, anonymous_id=f"{erased}-phone"))
    rows.append(interaction(10, customer_id="bob", anonymous_id=f"{erased}-phone"))
    write_part(home.history, table_of(rows[:6]), part="a")
    log.append([rows[4:]])
    home.rejects.mkdir()
    with (home.rejects / "shop.csv").open("w", newline="") as file:
        row = ["file", "row", "field", "value", "rule"]
        text = ["f", "2", "item_id", f"'for {erased}'", "rule"]
        csv.writer(file).writerows([row, ["f", "1", "customer_id", f"'{erased}'", "rule"], text])
        csv.writer(file).writerow(["f", "3", "customer_id", "'bob'", "rule"])
    home.truth.mkdir()
    truth = pa.table({"customer_id": [erased, "bob"], "taste": [1, 2]})
    pq.write_table(truth, home.truth / "customers.parquet")


def traces(folder: Path, text: str) -> list[str]:
    """The files that hold a text, in their bytes or, if they are Parquet, in their rows."""
    found = []
    for path in (each for each in folder.rglob("*") if each.is_file()):
        parquet = path.suffix in (".parquet", ".compacted")
        rows = repr(pq.read_table(path, partitioning=None).to_pylist()) if parquet else ""
        if text.encode() in path.read_bytes() or text in rows:
            found.append(str(path.relative_to(folder)))
    return sorted(found)


def test_the_sweep_leaves_no_trace_and_touches_nobody_else(tmp_path: Path) -> None:
    home, erased = Home(tmp_path), "ada-4711"
    with SqliteLog(home.log) as log:
        fill(home, log, erased)
        assert len(traces(tmp_path, erased)) >= 4
        receipt = Receipt(START)
        erasures = note(log, [erased, f"anonymous:{erased}-phone"], tick(START) + 256 * 60)
        keys = sweep(home, log, erasures, receipt)
        assert keys == {erased, f"anonymous:{erased}-phone"}
        assert dict(receipt.removed) == {
            "log": 6,  # four of ada's, one of her phone's, one of bob's that lost the phone
            "history": 4,
            "truth of the simulation": 1,
            "packed histories of the past": 0,
            "decisions": 0,
            "samples of decisions": 0,
            "reject files": 2,
        }
        assert held(home, log) == ["0", "3", "6", "10"]
        assert receipt.remaining == []
        sweep(home, log, erasures, receipt)
        assert receipt.removed.total() == 13  # the second time there is nothing to do
    assert traces(tmp_path, erased) == []
    assert traces(tmp_path, "bob") != []
    assert count(home.history) == 2
    assert len((home.rejects / "shop.csv").read_text().splitlines()) == 2


def test_the_log_keeps_tombstones_and_of_two_the_later(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log.db") as log:
        log.note_erasure("a", 5)
        log.note_erasure("b", 6)
        log.note_erasure("a", 4)
    with SqliteLog(tmp_path / "log.db") as log:
        assert log.erasures() == {"a": 5, "b": 6}


def test_what_a_split_page_left_behind_is_scrubbed(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with SqliteLog(path) as log:
        log.append(
            [[interaction(n, interaction_id=f"{n * 7919 % 1000}-who-4711") for n in range(1000)]]
        )
        log.rewrite(lambda each: None)
        assert scrub(path, ["who-4711"])
    assert not holds(path, ["who-4711"])
    assert scrub(tmp_path / "absent.db", ["who-4711"])
