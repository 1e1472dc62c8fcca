"""Item measures: hand-worked numbers, day by day, and the same through Feast."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from features.__main__ import main
from features.catalog_parts import write_items
from features.history.partitions import write_part
from features.interaction import Interaction
from features.item import ITEM_SCHEMA
from features.measures.items import newest_snapshot, snapshot_items
from features.online.store import OnlineFeatures
from features.settings import FeatureSettings, Home
from tests.interactions import START, interaction, table_of

TODAY = date(2026, 3, 1)


def on_day(
    day: float, item: str, type: str = "view", copy: int = 0, **changes: object
) -> Interaction:
    fields = {"interaction_id": f"{item}-{type}-{day}-{copy}", "type": type, "item_id": item}
    fields |= changes
    return interaction(0, **{"event_time": START + timedelta(days=day), **fields})


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def write(home: Home, rows: Sequence[Interaction], part: str = "a") -> None:
    write_part(home.history, table_of(rows), part=part)


def snapshot(home: Home, day: int) -> dict[str, dict[str, float]]:
    """The rows of the snapshot so many days into 2026, by item."""
    name = (START + timedelta(days=day)).date().isoformat()
    rows = pq.read_table(home.item_measures / f"{name}.parquet").to_pylist()
    return {row["item_id"]: row for row in rows}


def test_no_history_has_no_snapshot(home: Home) -> None:
    assert snapshot_items(home, today=TODAY) == 0
    write(home, [interaction(0, item_id=None)])
    assert snapshot_items(home, today=TODAY) == 0
    assert list(newest_snapshot(home)) == []


def test_popularity_halves_with_each_half_life(home: Home) -> None:
    company = on_day(1.5, "a", "impression", initiator="COMPANY")
    write(home, [on_day(0, "a"), on_day(1.5, "a", "cart-add"), company, on_day(2, "b")])
    assert snapshot_items(home, today=TODAY) == 3
    assert snapshot(home, 1)["a"]["popularity_1d"] == pytest.approx(0.5)  # a day old
    third = snapshot(home, 3)  # three days and a day and a half old
    assert third["a"]["popularity_1d"] == pytest.approx(0.125 + 2**-1.5)
    assert third["a"]["popularity_30d"] == pytest.approx(2**-0.1 + 2**-0.05)
    assert third["b"]["popularity_1d"] == pytest.approx(0.5)


def test_a_snapshot_knows_nothing_of_its_day_and_later(home: Home) -> None:
    midnight = on_day(1, "late")
    just_before = on_day(1, "early", event_time=START + timedelta(days=1, microseconds=-1))
    write(home, [midnight, just_before])
    snapshot_items(home, today=TODAY)
    assert list(snapshot(home, 1)) == ["early"]
    assert list(snapshot(home, 2)) == ["early", "late"]


def test_rates_are_shrunk_to_the_category_and_that_to_the_catalog(home: Home) -> None:
    items = [
        {"item_id": each, "name": each, "category": category, "brand": "", "unavailable": False}
        | {"tags": []}
        for each, category in (("a", "tea"), ("b", "tea"), ("c", "mugs"))
    ]
    write_items(home, ITEM_SCHEMA.empty_table().from_pylist(items, ITEM_SCHEMA))
    rows = [on_day(0, "a", copy=n) for n in range(10)]
    rows += [on_day(0, "b", copy=n) for n in range(15)]
    rows += [on_day(0, "c", copy=n) for n in range(25)]
    rows += [on_day(0.1, "a", "purchase", copy=n) for n in range(5)]
    rows += [on_day(0.2, "a", "return")]
    write(home, rows)
    snapshot_items(home, today=TODAY)
    a, b, c = snapshot(home, 1).values()
    # The catalog: 5 of 50 = 0.1. Tea: (25 * 0.1 + 5) / (25 + 25) = 0.15. Mugs: 2.5 / 50 = 0.05.
    assert a["conversion_7d"] == pytest.approx((25 * 0.15 + 5) / (25 + 10))
    assert b["conversion_7d"] == pytest.approx((25 * 0.15) / (25 + 15))
    assert c["conversion_7d"] == pytest.approx((25 * 0.05) / (25 + 25))
    # The catalog: 1 of 5 = 0.2. Tea: (3 * 0.2 + 1) / (3 + 5) = 0.2. Mugs: 0.6 / 3 = 0.2.
    assert a["return_rate_all"] == pytest.approx((3 * 0.2 + 1) / (3 + 5))
    assert c["return_rate_all"] == pytest.approx(0.2)


def test_windows_end_after_seven_and_thirty_days(home: Home) -> None:
    write(home, [on_day(0, "a"), on_day(0.5, "a", "purchase"), on_day(40, "b")])
    snapshot_items(home, today=date(2026, 3, 1))
    every = [snapshot(home, day)["a"] for day in (7, 8, 30, 31)]
    assert [each["conversion_7d"] for each in every] == [pytest.approx(1), 0, 0, 0]
    assert [each["conversion_30d"] for each in every] == [pytest.approx(1)] * 3 + [0]
    assert [each["conversion_all"] for each in every] == [pytest.approx(1)] * 4


def test_only_missing_days_are_computed(home: Home) -> None:
    write(home, [on_day(0, "a"), on_day(4, "a")])
    assert snapshot_items(home, today=date(2026, 1, 3)) == 2  # nothing is known of the future
    first = home.item_measures / "2026-01-02.parquet"
    written = first.stat().st_mtime_ns
    assert snapshot_items(home, today=TODAY) == 4  # three new ones, and the newest again
    assert first.stat().st_mtime_ns == written
    first.unlink()
    assert snapshot_items(home, today=TODAY) == 2
    assert snapshot_items(home, today=TODAY, again=True) == 5


def test_feast_serves_and_remembers_what_was_measured(home: Home) -> None:
    write(home, [on_day(0, "a"), on_day(0.5, "a", "purchase"), on_day(2, "b")])
    said = CliRunner().invoke(main, ["measure", "--home", str(home.path)])
    assert said.output == "measured 3 days; 2 items in the online store\n"
    online = OnlineFeatures(FeatureSettings(home=home.path))
    a, b, nothing = online.read_item_measures(["a", "b", "c"])
    assert nothing is None
    assert a == {name: snapshot(home, 3)["a"][name] for name in a or {}}
    assert b is not None and b["popularity_1d"] == pytest.approx(0.5)
    asked = pd.DataFrame({"item_id": ["a", "a", "b"]})
    asked["event_timestamp"] = [datetime(2026, 1, day, 12, tzinfo=UTC) for day in (1, 2, 2)]
    job = online.feast.get_historical_features(asked, ["item-measures:popularity_1d"])
    rows = [tuple(row.values()) for row in job.to_arrow().to_pylist()]
    expected = snapshot(home, 1)["a"]["popularity_1d"]  # of midnight, at noon of the same day
    noon = [datetime(2026, 1, day, 12, tzinfo=UTC) for day in (1, 2)]
    assert set(rows) == {("a", noon[0], None), ("a", noon[1], expected), ("b", noon[1], None)}
