"""The readers of known data sets: what each of their rows means."""

from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.catalog_parts import read_items
from features.settings import Home
from tests.imports import history, outcome, rejects, run_import, tmall_folder

TMALL = Path(__file__).parents[2] / "shared" / "data" / "tmall"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


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


def test_tmall_rejects_name_row_and_value(tmp_path: Path, home: Home) -> None:
    rows = ["1,9,0,6-4", "1,9,5,6-4", "1,9,0,31-12", ",9,0,6-4"]
    summary = run_import(tmall_folder(tmp_path / "t", *rows), home)
    assert outcome(summary) == (4, 1, 0, 3)
    assert sorted(rejects(summary)) == [
        ["2", "type", "'5'"],
        ["3", "event_time", "'31-12'"],
        ["4", "customer_id", "''"],
    ]


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


@pytest.mark.skipif(not TMALL.is_dir(), reason=f"no data in {TMALL}")
def test_all_of_tmall_is_accepted(home: Home) -> None:
    assert outcome(run_import(TMALL, home)) == (182_880, 182_880, 0, 0)
    assert len(read_items(home)) == 9_531
