"""The ground truth of a simulation as Parquet files; the package's docstring lists the columns."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from features.history.partitions import write_whole
from features.simulation.catalog import CATEGORIES, CLUSTER_NAMES, LINES, cluster_of
from features.simulation.contacts import RESPONSES
from features.simulation.customers import ARMS, INTENTS, customer_ids
from features.simulation.ledger import decision_ids
from features.simulation.world import World

TIME = pa.timestamp("us", tz="UTC")


def write_truth(world: World, start: datetime, folder: Path) -> None:
    """Writes customers, items, intents and contacts."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = {
        "customers": _customers(world, start),
        "items": _items(world),
        "intents": _intents(world),
        "contacts": _contacts(world),
    }
    for name, columns in tables.items():
        write_whole(pa.table(columns), folder / f"{name}.parquet")


def _customers(world: World, start: datetime) -> dict[str, pa.Array]:
    customers = world.customers
    return {
        "customer_id": customer_ids(len(customers.main_N)),
        "taste_cluster": _names(CLUSTER_NAMES, customers.main_N),
        "second_cluster": _names(CLUSTER_NAMES, customers.second_N),
        "activity": pa.array(customers.activity_N),
        "contact_arm": _names(ARMS, customers.arm_N),
        "joined": pa.array(
            [(start + timedelta(days=day)).date() for day in customers.joined_N.tolist()]
        ),
    }


def _items(world: World) -> dict[str, pa.Array]:
    catalog = world.catalog
    groups = catalog.group_M
    rank = np.arange(len(groups)) - catalog.start_G[groups]
    share = np.log((rank + 2) / (rank + 1)) / np.log(catalog.size_G[groups] + 1)
    return {
        "item_id": catalog.item_ids,
        "taste_cluster": _names(CLUSTER_NAMES, cluster_of(groups)),
        "category": _names(CATEGORIES, groups // LINES),
        "popularity": pa.array(share),
        "quality": pa.array(catalog.quality_M),
        "successor_id": catalog.item_ids.take(pa.array(catalog.successor_M)),
    }


def _intents(world: World) -> dict[str, pa.Array]:
    who, times, intents = (
        np.concatenate(each) for each in zip(*world.customers.changes, strict=True)
    )
    order = np.lexsort((np.arange(len(who)), times, who))
    return {
        "customer_id": customer_ids(len(world.customers.main_N)).take(pa.array(who[order])),
        "time": pa.array(times[order]).cast(TIME),
        "intent": _names(INTENTS, intents[order]),
    }


def _contacts(world: World) -> dict[str, pa.Array]:
    columns = {
        name: np.concatenate([each[name] for each in world.messages]) for name in world.messages[0]
    }
    return {
        "customer_id": customer_ids(len(world.customers.main_N)).take(
            pa.array(columns["customer"])
        ),
        "time": pa.array(columns["time"]).cast(TIME),
        "item_id": world.catalog.item_ids.take(pa.array(columns["item"])),
        "decision_id": decision_ids(columns["decision"]),
        "wanted": pa.array(columns["wanted"]),
        "fatigue": pa.array(columns["fatigue"]),
        "visit_probability": pa.array(columns["visit_probability"]),
        "response": _names(RESPONSES, columns["response"]),
    }


def _names(names: tuple[str, ...] | list[str], numbers: np.ndarray) -> pa.Array:
    return pa.array(names).take(pa.array(numbers))
