"""Importing: every row is accepted, a duplicate, or rejected with its reason; order survives."""

import csv
import gzip
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.catalog_parts import read_items, write_items
from features.history import count
from features.importing import Summary, import_reading
from features.readers.formats import guess, open_source
from features.readers.mapping import FieldMapping, load_mapping
from features.readers.reading import (
    Chunk,
    Reading,
    UnreadableSourceError,
    as_items,
    in_chunks,
    in_file_order,
)
from features.settings import Home
from features.vocabulary import load_vocabulary
from tests.interactions import interaction, table_of

NOW = datetime(2026, 11, 22, tzinfo=UTC)
VOCABULARY = load_vocabulary()
NO_MAPPING = FieldMapping()
TMALL = Path(__file__).parents[2] / "shared" / "data" / "tmall"


def run_import(path: Path, home: Home, mapping: FieldMapping = NO_MAPPING, **said: str) -> Summary:
    """Imports a path as the command does."""
    format, source = said.get("format"), said.get("source")
    reading = open_source(
        path, format=format, source=source, mapping=mapping, vocabulary=VOCABULARY
    )
    return import_reading(reading, home, vocabulary=VOCABULARY, now=NOW)


def outcome(summary: Summary) -> tuple[int, int, int, int]:
    """Rows read, accepted, duplicate, rejected."""
    return summary.read, summary.accepted, summary.duplicate, summary.rejected


def history(home: Home, columns: str) -> list[tuple]:
    """Columns of the history, in time order."""
    parts = f"{home.history}/*/*.parquet"
    return duckdb.sql(f"SELECT {columns} FROM '{parts}' ORDER BY event_time").fetchall()


def rejects(summary: Summary) -> list[list[str]]:
    """Row, field and value of each reject."""
    assert summary.reject_file is not None
    with summary.reject_file.open(newline="") as file:
        return [row[1:4] for row in csv.reader(file)][1:]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def tmall_folder(folder: Path, *rows: str) -> Path:
    folder.mkdir(exist_ok=True)
    with gzip.open(folder / "interactions.csv.gz", "wt") as file:
        file.write("\n".join(["user_id,brand_id,type,visit_datetime", *rows, ""]))
    return folder


def test_tmall_types_days_and_order(tmp_path: Path, home: Home) -> None:
    rows = ["1,9,0,6-4", "1,9,2,6-4", "1,7,3,6-4", "1,9,1,6-4", "2,9,0,8-15"]
    summary = run_import(tmall_folder(tmp_path / "t", *rows), home)
    assert outcome(summary) == (5, 5, 0, 0)
    assert history(
        home, "customer_id, type, item_id, strftime(event_time, '%m-%d %H:%M:%S.%g')"
    ) == [
        ("1", "view", "9", "06-04 00:00:00.000"),
        ("1", "favorite", "9", "06-04 00:00:00.004"),
        ("1", "cart-add", "7", "06-04 00:00:00.008"),
        ("1", "purchase", "9", "06-04 00:00:00.012"),
        ("2", "view", "9", "08-15 00:00:00.000"),
    ]
    assert read_items(home)["name"].to_pylist() == ["Brand 7", "Brand 9"]


def test_a_second_import_finds_only_duplicates(tmp_path: Path, home: Home) -> None:
    rows = ["1,9,0,6-4", "1,9,0,6-4", "2,9,1,6-5"]
    run_import(tmall_folder(tmp_path / "t", *rows), home)
    again = run_import(tmall_folder(tmp_path / "t", *rows, "3,9,0,6-6"), home)
    assert outcome(again) == (4, 1, 3, 0)
    assert count(home.history) == 4


def test_tmall_rejects_name_row_and_value(tmp_path: Path, home: Home) -> None:
    rows = ["1,9,0,6-4", "1,9,5,6-4", "1,9,0,31-12", ",9,0,6-4"]
    summary = run_import(tmall_folder(tmp_path / "t", *rows), home)
    assert outcome(summary) == (4, 1, 0, 3)
    assert sorted(rejects(summary)) == [
        ["2", "type", "'5'"],
        ["3", "event_time", "'31-12'"],
        ["4", "customer_id", "''"],
    ]


def test_a_clean_import_takes_the_reject_file_away(tmp_path: Path, home: Home) -> None:
    folder = tmp_path / "t"
    first = run_import(tmall_folder(folder, "1,9,5,6-4"), home)
    assert run_import(tmall_folder(folder, "1,9,0,6-4"), home).reject_file is None
    assert first.reject_file is not None
    assert not first.reject_file.exists()


def retail_file(folder: Path, *rows: tuple) -> Path:
    names = "InvoiceNo StockCode Description Quantity InvoiceDate UnitPrice CustomerID Country"
    folder.mkdir()
    columns = dict(zip(names.split(), map(list, zip(*rows, strict=True)), strict=True))
    pq.write_table(pa.table(columns), folder / "online_retail.parquet")
    return folder


def test_online_retail_purchases_and_returns(tmp_path: Path, home: Home) -> None:
    noon = datetime(2010, 12, 1, 12, 0)
    rows = [
        ("536365", "85123a", "HEART ", 6.0, noon, 2.55, 17850.0, "France"),
        ("536365", "POST", "POSTAGE", 1.0, noon, 18.0, 17850.0, "France"),
        ("536365", "22841", "CAKE TIN", 2.0, noon, 0.0, 17850.0, "France"),
        ("536366", "85123A", "HEART", 1.0, noon, 2.95, None, "France"),
        ("C536367", "85123A", "HEART", -2.0, noon + timedelta(days=1), 2.75, 17850.0, "France"),
        ("536368", "85123A", "damaged", -9.0, noon, 0.0, 17850.0, "France"),
    ]
    summary = run_import(retail_file(tmp_path / "r", *rows), home)
    assert outcome(summary) == (6, 3, 0, 3)
    assert history(home, "type, item_id, quantity, amount, currency, session_id") == [
        ("purchase", "85123A", 6.0, 15.3, "GBP", "536365"),
        ("purchase", "22841", 2.0, 0.0, "GBP", "536365"),
        ("return", "85123A", 2.0, 5.5, "GBP", "C536367"),
    ]
    assert sorted(rejects(summary)) == [
        ["2", "item_id", "'POST'"],
        ["4", "customer_id", "''"],
        ["6", "quantity", "-9.0"],
    ]
    items = read_items(home).select(["item_id", "name", "price"]).to_pylist()
    assert items == [
        {"item_id": "22841", "name": "CAKE TIN", "price": None},
        {"item_id": "85123A", "name": "HEART", "price": 2.75},
    ]


def journey_folder(folder: Path) -> Path:
    tables = {
        "transactions_sample": {
            "household_id": ["1", "1"],
            "basket_id": ["b", "b"],
            "product_id": ["p1", "p2"],
            "quantity": [2.0, 0.0],
            "sales_value": [3.0, 0.0],
            "transaction_timestamp": [datetime(2017, 1, 8, 16, 55)] * 2,
        },
        "campaigns": {"campaign_id": ["7"], "household_id": ["1"]},
        "campaign_descriptions": {
            "campaign_id": ["7"],
            "campaign_type": ["Type A"],
            "start_date": [date(2017, 1, 1)],
        },
        "coupons": {
            "coupon_upc": ["one", "many", "many"],
            "product_id": ["p1", "p1", "p2"],
            "campaign_id": ["7", "7", "7"],
        },
        "coupon_redemptions": {
            "household_id": ["1", "1"],
            "coupon_upc": ["one", "many"],
            "campaign_id": ["7", "7"],
            "redemption_date": [date(2017, 1, 9)] * 2,
        },
        "products": {
            "product_id": ["p1", "p2"],
            "manufacturer_id": ["69", "69"],
            "department": ["PASTRY", "PASTRY"],
            "brand": ["Private", "Private"],
            "product_category": ["BREAD", None],
            "product_type": ["BREAD:ITALIAN", None],
            "package_size": ["1 LB", None],
        },
    }
    folder.mkdir()
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    return folder


def test_complete_journey_has_both_sides(tmp_path: Path, home: Home) -> None:
    summary = run_import(journey_folder(tmp_path / "j"), home)
    assert outcome(summary) == (5, 4, 0, 1)
    assert rejects(summary) == [["2", "quantity", "0.0"]]
    assert history(home, "initiator, type, channel, item_id, amount") == [
        ("COMPANY", "message", "mail", "campaign:7", None),
        ("CUSTOMER", "purchase", "store", "p1", 3.0),
        ("CUSTOMER", "redemption", "store", "p1", None),
        ("CUSTOMER", "redemption", "store", "campaign:7", None),
    ]
    items = read_items(home).select(["item_id", "name", "category", "price"]).to_pylist()
    assert items == [
        {"item_id": "campaign:7", "name": "Campaign 7", "category": "Type A", "price": None},
        {"item_id": "p1", "name": "BREAD:ITALIAN, 1 LB", "category": "BREAD", "price": 1.5},
        {"item_id": "p2", "name": "PASTRY", "category": "PASTRY", "price": None},
    ]


MAPPING = """
[fields]
customer_id = "user"
type = { column = "what", values = { "0" = "view", "1" = "purchase" } }
channel = { constant = "web" }
event_time = { column = "when", format = "%d.%m.%Y %H:%M", zone = "Europe/Berlin" }
item_id = "sku"
amount = { column = "price", types = ["purchase"] }
currency = { constant = "EUR" }
[attributes]
country = "country"
[items]
name = "title"
price = "price"
"""


def test_a_csv_by_its_mapping(tmp_path: Path, home: Home) -> None:
    (tmp_path / "map.toml").write_text(MAPPING)
    (tmp_path / "clicks.csv").write_text(
        "user;what;when;sku;price;title;country\n"
        "ada;0;21.11.2026 10:30;s1;89.90;Shoe;DE\n"
        "ada;1;21.11.2026 10:30;s1;89.90;Shoe;\n"
        "ada;7;21.11.2026 10:30;s1;89.90;Shoe;DE\n"
        "ada;0;2026-11-21;s1;89.90;Shoe;DE\n"
        "ada;1;21.11.2026 10:30;s1;89,90;Shoe;DE\n"
        "ada;1;21.11.2026 10:30;s1;89.90;Shoe;DE;more\n"
    )
    mapping = load_mapping(tmp_path / "map.toml")
    summary = run_import(tmp_path / "clicks.csv", home, mapping)
    assert outcome(summary) == (6, 2, 0, 4)
    assert history(home, "source, type, amount, currency, attributes, hour(event_time)") == [
        ("clicks", "view", None, None, {"country": "DE"}, 9),
        ("clicks", "purchase", 89.9, "EUR", {}, 9),
    ]
    assert sorted(each[:2] for each in rejects(summary)) == [
        ["3", "type"],
        ["4", "event_time"],
        ["5", "amount"],
        ["5", "item.price"],
        ["6", "row"],
    ]
    assert outcome(run_import(tmp_path / "clicks.csv", home, mapping)) == (6, 0, 2, 4)


def test_nested_json_lines_are_dotted_columns(tmp_path: Path, home: Home) -> None:
    (tmp_path / "a.jsonl").write_bytes(
        b'{"customer_id":"a","type":"view","channel":"app","at":1763800000.25,"item":{"id":"x"}}\n'
        b"nonsense\n"
        b'{"customer_id":"\xff","type":"view","channel":"app","at":1763800000}\n'
        b'{"customer_id":"a","type":"message","channel":"email","at":"soon"}\n'
    )
    (tmp_path / "map.toml").write_text('[fields]\nevent_time = { column = "at", unit = "s" }')
    mapping = load_mapping(tmp_path / "map.toml", ["item_id=item.id"])
    summary = run_import(tmp_path / "a.jsonl", home, mapping)
    assert outcome(summary) == (4, 1, 0, 3)
    assert history(home, "item_id, initiator, epoch(event_time)") == [
        ("x", "CUSTOMER", 1763800000.25)
    ]
    assert sorted(each[:2] for each in rejects(summary)) == [
        ["2", "row"],
        ["3", "row"],
        ["4", "event_time"],
    ]


def test_parquet_in_our_own_columns_needs_no_mapping(tmp_path: Path, home: Home) -> None:
    given = table_of([interaction(1), interaction(2), interaction(2)]).drop(["attributes"])
    pq.write_table(given, tmp_path / "own.parquet")
    summary = run_import(tmp_path / "own.parquet", home, source="test")
    assert outcome(summary) == (3, 2, 1, 0)
    assert history(home, "interaction_id, item_id") == [("1", "i1"), ("2", "i2")]


def test_numbers_as_ids_have_no_decimal_point(tmp_path: Path, home: Home) -> None:
    columns = {"customer_id": [17850.0, None], "event_time": [datetime(2026, 1, 1)] * 2}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    mapping = load_mapping(None, (), ["type=view", "channel=web"])
    assert outcome(run_import(tmp_path / "a.parquet", home, mapping)) == (2, 1, 0, 1)
    assert history(home, "customer_id") == [("17850",)]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            ["customer_id=usr"],
            "customer_id comes from column 'usr', which a.csv lacks; it has u, t",
        ),
        (["custmer_id=u"], "fields has 'custmer_id', which is none of interaction_id, customer_id"),
        (["customer_id=u"], "type, channel must come from a column or a constant"),
        (["customer_id"], "'customer_id' must be field=value"),
    ],
)
def test_a_wrong_mapping_is_told_by_name(
    tmp_path: Path, home: Home, columns: list[str], message: str
) -> None:
    (tmp_path / "a.csv").write_text("u,t\nada,2026-01-01\n")
    with pytest.raises(UnreadableSourceError) as error:
        run_import(tmp_path / "a.csv", home, load_mapping(None, ["event_time=t", *columns]))
    assert message in str(error.value)
    assert not home.history.exists()


def test_sources_that_cannot_be_read_are_named(tmp_path: Path, home: Home) -> None:
    (tmp_path / "interactions.csv.gz").write_bytes(b"\x1f\x8bcut")
    (tmp_path / "online_retail.parquet").write_bytes(b"PAR1")
    for name in ("interactions.csv.gz", "online_retail.parquet", "missing.csv"):
        with pytest.raises(UnreadableSourceError, match=name):
            run_import(tmp_path / name, home)
    with pytest.raises(UnreadableSourceError, match="--format with one of tmall, online-retail"):
        guess(tmp_path)


def test_rows_of_one_time_stay_in_order_across_chunks() -> None:
    minute = datetime(2026, 1, 1, 10, 0, tzinfo=UTC)
    precise = minute + timedelta(milliseconds=1)
    seen: dict = {}
    customers = pa.array(["a", "b", "a", None])
    times = pa.array([minute, minute, minute, None], pa.timestamp("us", tz="UTC"))
    first = in_file_order(customers, times, seen).to_pylist()
    second = in_file_order(
        pa.array(["a", "a", "a"]), pa.array([minute, precise, precise]), seen
    ).to_pylist()
    tick = timedelta(milliseconds=4)
    assert first == [minute, minute, minute + tick, None]
    assert second == [minute + 2 * tick, precise, precise]


def test_an_import_that_was_cut_off_is_done_again(home: Home, tmp_path: Path) -> None:
    rows = table_of([interaction(number) for number in range(4)])

    def interrupted() -> Iterator[Chunk]:
        yield from in_chunks(rows.slice(0, 2), rows_from(1, 2), tmp_path)
        raise KeyboardInterrupt

    def rows_from(first: int, size: int) -> pa.Array:
        return pa.array(range(first, first + size)).to_numpy()

    no_items = as_items({"item_id": pa.array([], pa.string())})
    with pytest.raises(KeyboardInterrupt):
        reading = Reading("test", tmp_path, interrupted(), lambda: no_items)
        import_reading(reading, home, vocabulary=VOCABULARY, now=NOW)
    assert list(home.rejects.iterdir()) == []
    whole = Reading("test", tmp_path, in_chunks(rows, rows_from(1, 4), tmp_path), lambda: no_items)
    summary = import_reading(whole, home, vocabulary=VOCABULARY, now=NOW)
    assert summary.accepted + summary.duplicate == 4
    assert count(home.history) == 4


def items(**names: str) -> pa.Table:
    return as_items({"item_id": pa.array(list(names)), "name": pa.array(list(names.values()))})


def test_of_items_the_newest_part_wins(home: Home) -> None:
    assert write_items(home, items(a="Old", b="Shoe")) == 2
    assert write_items(home, items(a="New", b="Shoe")) == 1
    assert write_items(home, items(a="", b="")) == 0  # nothing known: replaces nothing
    assert read_items(home)["name"].to_pylist() == ["New", "Shoe"]


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    whole = [sys.executable, "-m", "features", "import", *map(str, arguments)]
    return subprocess.run(whole, capture_output=True, text=True, check=False)


def test_the_command_prints_what_became_of_the_rows(tmp_path: Path, home: Home) -> None:
    folder = tmall_folder(tmp_path / "t", "1,9,0,6-4", "1,9,5,6-4")
    done = command(folder, "--home", home.path)
    assert done.returncode == 0
    assert "accepted                             1\n" in done.stdout
    assert "rejected                             1\n" in done.stdout
    assert str(home.rejects / "tmall-t.csv") in done.stdout
    missing = command(tmp_path / "nothing", "--home", home.path)
    assert missing.returncode == 1
    assert missing.stderr == f"Error: {tmp_path / 'nothing'} does not exist\n"


@pytest.mark.skipif(not TMALL.is_dir(), reason=f"no data in {TMALL}")
def test_all_of_tmall_is_accepted(home: Home) -> None:
    assert outcome(run_import(TMALL, home)) == (182_880, 182_880, 0, 0)
    assert len(read_items(home)) == 9_531
