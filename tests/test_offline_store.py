"""Feast's offline store reads the history, before, during and after a compaction."""

from datetime import timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.repo_config import RegistryConfig
from feast.types import String
from feast.value_type import ValueType

from features.history.compaction import compact
from tests.interactions import START
from tests.test_compaction import GRACE_S, fill


def test_feasts_offline_store_reads_the_compacted_history(tmp_path: Path) -> None:
    root = tmp_path / "home" / "history"
    fill(root)
    before = as_feast_sees_it(root, tmp_path / "one")
    compact(root, grace_s=GRACE_S, now=0)
    assert as_feast_sees_it(root, tmp_path / "two") == before
    compact(root, grace_s=0, now=0)
    assert as_feast_sees_it(root, tmp_path / "three") == before
    assert before == [("c0", "i399"), ("c1", "i295"), ("c6", None)]


def as_feast_sees_it(root: Path, folder: Path) -> list[tuple[str, str | None]]:
    """The item of each customer's last interaction before some moment."""
    folder.mkdir()
    config = RepoConfig(
        project="test",
        provider="local",
        registry=RegistryConfig(path=str(folder / "registry.db")),
        online_store={"type": "sqlite", "path": str(folder / "online.db")},
        offline_store={"type": "duckdb"},
        entity_key_serialization_version=3,
    )
    customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
    source = FileSource(path=f"{root}/date=*/*.parquet", timestamp_field="event_time")
    view = FeatureView(
        name="acts", entities=[customer], schema=[Field(name="item_id", dtype=String)],
        source=source, ttl=timedelta(0),
    )  # fmt: skip
    store = FeatureStore(config=config)
    store.apply([customer, view])
    moments = {"c0": 86_400 + 400, "c1": 301, "c6": 5}
    asked = pd.DataFrame(
        {
            "customer_id": list(moments),
            "event_timestamp": [START + timedelta(seconds=each) for each in moments.values()],
        }
    )
    found = store.get_historical_features(asked, ["acts:item_id"]).to_df()
    seen = found.astype(object).where(found.notna(), None).sort_values("customer_id")
    return list(zip(seen["customer_id"], seen["item_id"], strict=True))
