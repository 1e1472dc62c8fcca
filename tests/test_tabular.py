"""Files of any kind by a mapping: each value is converted, or refused by name."""

import csv
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.readers.mapping import load_mapping
from features.readers.reading import UnreadableSourceError
from features.settings import Home
from tests.imports import history, outcome, rejects, run_import
from tests.interactions import interaction, table_of


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


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
        ["5", "items.price"],
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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[felds]", "section 'felds' is none of fields, attributes, items"),
        ("fields = 3", "fields is 3; it must be a table"),
        ("[fields]\ntype = 3", "type is 3; it must be a column, or a table of column, constant"),
        ("[fields.type]\ncolumn = 'a'\nconstant = 'b'", "type needs either a column or a constant"),
        ("[fields.amount]\ncolumn = 'a'\ntypes = 'view'", "types of amount is 'view'; it must be"),
        ("[fields.event_time]\ncolumn = 'a'\nunit = 'min'", "unit of event_time is 'min'; it must"),
        ("[fields.event_time]\ncolumn = 'a'\nzone = 'Mars'", "zone of event_time is 'Mars'"),
        ("[fields", "cannot be read"),
    ],
)
def test_a_mapping_file_is_checked(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "map.toml").write_text(text)
    with pytest.raises(UnreadableSourceError) as error:
        load_mapping(tmp_path / "map.toml")
    assert message in str(error.value)


def test_odd_columns_of_parquet_are_refused_by_row(tmp_path: Path, home: Home) -> None:
    columns = {
        "customer_id": pa.array([b"ada", b"\xff", b"bob", b"cy"], pa.binary()),
        "event_time": pa.array([0, 0, 2**62, 0], pa.timestamp("us")),
        "quantity": pa.array([["1"], None, None, None]),
        "item": pa.array([{"id": "x"}] * 4),
        "channel": pa.array(["web", "web", "web", "app"]).dictionary_encode(),
        "picture": pa.array([b"\xff"] * 4, pa.binary()),
    }
    pq.write_table(pa.table(columns), tmp_path / "odd.parquet")
    mapping = load_mapping(None, ["item_id=item.id"], ["type=view"])
    summary = run_import(tmp_path / "odd.parquet", home, mapping)
    assert outcome(summary) == (4, 0, 0, 4)
    assert sorted(rejects(summary)) == [
        ["1", "quantity", "['1']"],
        ["2", "customer_id", r"'\\xff'"],
        ["3", "event_time", str(2**62)],
        ["4", "event_time", "1970-01-01T00:00:00+00:00"],  # refused by the check, not here
    ]


@pytest.mark.parametrize(
    ("text", "zone", "moment"),
    [
        ("2026-07-01 12:00", "Europe/Berlin", datetime(2026, 7, 1, 10, 0, tzinfo=UTC)),
        ("2026-07-01T12:00:00.5Z", "Europe/Berlin", datetime(2026, 7, 1, 12, 0, 0, 500_000, UTC)),
        ("2026-07-01T12:00:00+09:00", "UTC", datetime(2026, 7, 1, 3, 0, tzinfo=UTC)),
        ("20260701", "UTC", datetime(2026, 7, 1, tzinfo=UTC)),
    ],
)
def test_times_are_iso_in_their_zone(
    tmp_path: Path, home: Home, text: str, zone: str, moment: datetime
) -> None:
    (tmp_path / "a.csv").write_text(f"customer_id,type,channel,at\nada,view,web,{text}\n")
    (tmp_path / "a.toml").write_text(f'[fields.event_time]\ncolumn = "at"\nzone = "{zone}"')
    run_import(tmp_path / "a.csv", home, load_mapping(tmp_path / "a.toml"))
    assert history(home, "epoch_us(event_time)") == [(int(moment.timestamp() * 1e6),)]


values = st.one_of(
    st.sampled_from(
        ["", "ada", "view", "web", "2026-01-01", "1", "1e999", "nan", "-", "\x00", '"']
    ),
    st.text(st.characters(codec="utf-8"), max_size=6),
)
fields = ("customer_id", "type", "channel", "event_time", "item_id", "amount", "position")


@settings(max_examples=30)
@given(st.lists(st.lists(values, min_size=5, max_size=8), min_size=1, max_size=10))
def test_whatever_a_csv_holds_no_row_is_lost(rows: list[list[str]]) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "a.csv"
        with file.open("w", newline="", encoding="utf-8") as text:
            csv.writer(text).writerows([fields, *rows])
        read, accepted, duplicate, rejected = outcome(run_import(file, Home(Path(folder) / "home")))
    assert read == len(rows)
    assert accepted + duplicate + rejected == read
