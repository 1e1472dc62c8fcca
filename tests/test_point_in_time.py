"""Point-in-time reads: what the online store would have held, replayed record by record."""

from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.history.partitions import write_part
from features.history.point_in_time import histories_at, rows_at, write_histories
from features.interaction import ANONYMOUS, Interaction
from features.record import merge, pack
from features.vocabulary import load_vocabulary
from tests.interactions import START, interaction, table_of

VOCABULARY = load_vocabulary()
MAX_RECORDS = 3


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def decisions_of(*asked: tuple[str, datetime]) -> pa.Table:
    keys, times = zip(*asked, strict=True)
    return pa.table(
        {
            "customer_key": pa.array(keys, pa.string()),
            "event_time": pa.array(times, pa.timestamp("us", tz="UTC")),
        }
    )


def found(root: Path, decisions: pa.Table, *, events_a_partition: int = 1000) -> list[bytes]:
    """The records of each decision, in order."""
    batches = histories_at(
        root,
        decisions,
        max_records=MAX_RECORDS,
        vocabulary=VOCABULARY,
        events_a_partition=events_a_partition,
    )
    rows = [row for batch in batches for row in batch.to_pylist()]
    assert sorted(row["decision"] for row in rows) == list(range(len(decisions)))
    asked = decisions.to_pylist()
    for row in rows:
        assert {name: row[name] for name in asked[0]} == asked[row["decision"]]
    return [row["records"] for row in sorted(rows, key=lambda row: row["decision"])]


def replayed(acts: list[Interaction], key: str, time: datetime) -> bytes:
    """What a store holds that was told of each interaction before the time, in this order."""
    held: dict[str, bytes] = {}
    owner: dict[str, str] = {}
    before = sorted((each for each in acts if each.event_time < time), key=by_time)
    for each in before:
        held[each.customer_key] = merge(
            held.get(each.customer_key, b""), pack(each, VOCABULARY), max_records=MAX_RECORDS
        )
        if each.type == "identify" and each.anonymous_id:
            owner.setdefault(f"{ANONYMOUS}{each.anonymous_id}", each.customer_id or "")
    customer = owner.get(key, key)
    joined = held.get(customer, b"")
    for alias, whose in owner.items():
        if whose == customer:
            joined = merge(joined, held.get(alias, b""), max_records=MAX_RECORDS)
    return joined


def by_time(each: Interaction) -> tuple[datetime, str]:
    return each.event_time, each.interaction_id


def test_a_decision_sees_what_was_strictly_before_it(tmp_path: Path) -> None:
    acts = [interaction(number) for number in range(5)]
    write_part(tmp_path, table_of(acts), part="p")
    packed = [pack(each, VOCABULARY) for each in acts]
    asked = decisions_of(
        ("ada", at(0)), ("ada", at(0.000001)), ("ada", at(2)), ("ada", at(99)), ("bob", at(99))
    )
    expected = [b"", packed[0], b"".join(packed[:2]), b"".join(packed[2:]), b""]
    assert found(tmp_path, asked) == expected


def test_of_one_tick_only_what_was_before_counts(tmp_path: Path) -> None:
    acts = [
        interaction(number, event_time=at(number / 1000)) for number in range(4)
    ]  # tick: 3.9 ms
    write_part(tmp_path, table_of(acts), part="p")
    times = [at(number / 1000) for number in range(6)]
    asked = decisions_of(*(("ada", each) for each in times))
    assert found(tmp_path, asked) == [replayed(acts, "ada", each) for each in times]


def test_a_device_counts_from_the_moment_it_is_joined(tmp_path: Path) -> None:
    known = {"customer_id": None, "anonymous_id": "phone"}
    acts = [
        interaction(0, **known),
        interaction(1, **known),
        interaction(2),
        interaction(4, type="identify", item_id=None, anonymous_id="phone"),
        interaction(5, **known),
    ]
    write_part(tmp_path, table_of(acts), part="p")
    packed = [pack(each, VOCABULARY) for each in acts]
    device = f"{ANONYMOUS}phone"
    asked = decisions_of(("ada", at(4)), (device, at(4)), ("ada", at(5)), (device, at(9)))
    assert found(tmp_path, asked) == [
        packed[2],
        packed[0] + packed[1],
        packed[1] + packed[2] + packed[3],
        packed[2] + packed[3] + packed[4],
    ]


ACTS = st.builds(
    lambda number, customer, device, tenth, identify: interaction(
        number,
        customer_id=customer if identify else (customer if device is None else None),
        anonymous_id=device,
        type="identify" if identify and device else "view",
        event_time=at(tenth / 500),
    ),
    number=st.integers(0, 10**6),
    customer=st.sampled_from(["ada", "bob"]),
    device=st.sampled_from([None, None, "phone", "laptop"]),
    tenth=st.integers(0, 40),
    identify=st.booleans(),
)


@settings(max_examples=40)
@given(
    acts=st.lists(ACTS, min_size=1, max_size=25, unique_by=lambda each: each.interaction_id),
    tenths=st.lists(st.integers(0, 42), min_size=1, max_size=5),
    events_a_partition=st.integers(3, 30),
)
def test_the_bytes_are_those_of_a_replay(
    acts: list[Interaction], tenths: list[int], events_a_partition: int
) -> None:
    keys = ["ada", "bob", f"{ANONYMOUS}phone", f"{ANONYMOUS}laptop", "nobody"]
    asked = [(key, at(tenth / 500)) for tenth in tenths for key in keys]
    with TemporaryDirectory() as folder:
        write_part(Path(folder), table_of(acts), part="p")
        seen = found(Path(folder), decisions_of(*asked), events_a_partition=events_a_partition)
    assert seen == [replayed(acts, key, time) for key, time in asked]


def test_an_empty_history_knows_nothing(tmp_path: Path) -> None:
    assert found(tmp_path, decisions_of(("ada", at(1)))) == [b""]


def test_types_that_have_left_the_vocabulary_are_passed_over(tmp_path: Path) -> None:
    acts = [interaction(0), interaction(1, type="retired")]
    write_part(tmp_path, table_of(acts), part="p")
    assert found(tmp_path, decisions_of(("ada", at(9)))) == [pack(acts[0], VOCABULARY)]


def test_histories_are_written_for_feast(tmp_path: Path) -> None:
    write_part(tmp_path / "history", table_of([interaction(0)]), part="p")
    asked = decisions_of(("bob", at(9)), ("ada", at(9)))
    batches = histories_at(
        tmp_path / "history", asked, max_records=MAX_RECORDS, vocabulary=VOCABULARY
    )
    assert write_histories(tmp_path / "windows", batches, name="asked") == 2
    (part,) = (tmp_path / "windows").iterdir()
    table = pq.read_table(part)
    assert part.name == "asked-00000.parquet"
    assert table.column_names == ["customer_key", "event_time", "records"]
    assert table["records"].to_pylist() == [pack(interaction(0), VOCABULARY), b""]


def snapshots(*rows: tuple[str, int, float]) -> pa.Table:
    keys, times, values = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {
            "item_id": pa.array(keys, pa.string()),
            "update_time": pa.array([at(each) for each in times], pa.timestamp("us", tz="UTC")),
            "popularity": pa.array(values, pa.float64()),
        }
    )


def asked_of(*rows: tuple[str, float]) -> pa.Table:
    return decisions_of(*((key, at(time)) for key, time in rows)).rename_columns(
        ["item_id", "event_time"]
    )


def test_an_item_is_what_it_was_at_the_time() -> None:
    table = snapshots(("b", 10, 1.0), ("a", 20, 3.0), ("a", 10, 2.0))
    asked = asked_of(("a", 9), ("a", 10), ("a", 19.9), ("a", 99), ("b", 99), ("b", 1), ("c", 99))
    rows = rows_at(asked, table, key="item_id", time="update_time")
    assert rows["popularity"].to_pylist() == [None, 2.0, 2.0, 3.0, 1.0, None, None]
    assert rows["update_time"].to_pylist()[:2] == [None, at(10)]


@pytest.mark.parametrize("rows", [(), (("a", 5, 1.0),)])
def test_items_that_nobody_knows_are_null(rows: tuple) -> None:
    found = rows_at(asked_of(("x", 9)), snapshots(*rows), key="item_id", time="update_time")
    assert found["popularity"].to_pylist() == [None]
