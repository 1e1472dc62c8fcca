"""Tenants: two on one Redis and one NATS see, change and erase nothing of each other."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import click
import pytest
import redis
from interplay.v1.catalog_service_pb2 import (
    DeleteItemsRequest,
    GetItemRequest,
    Item,
    UpsertItemsRequest,
)
from interplay.v1.customer_service_pb2 import (
    EraseCustomerRequest,
    ExportCustomerRequest,
    GetCustomerRequest,
)

from features.live import LiveFeatures
from features.log.contract import open_log
from features.log.jetstream import address_of
from features.online.store import OnlineFeatures
from features.privacy.aging import Aging
from features.record import tick
from features.settings import FeatureSettings, Home
from features.tenant import TenantError, claim, of_tenant
from serving.access.keys import new_key
from tests.access import caller, ending, with_key, write_access
from tests.interactions import START, interaction
from tests.nats_server import NatsServer
from tests.redis_server import RedisServer
from tests.running import Running, record, viewed

EVERYTHING = ("frontend", "customer-care", "catalog", "operator")


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """One NATS and one Redis."""
    folder = tmp_path_factory.mktemp("stores")
    with NatsServer(folder / "nats") as nats, RedisServer(folder) as server:
        yield {"log_url": nats.url, "online_url": server.url}


def settings_of(folder: Path, tenant: str, stores: dict[str, str]) -> FeatureSettings:
    return FeatureSettings(home=folder / f"home-{tenant}", tenant=tenant, **stores)


@pytest.fixture(scope="module")
def shops(
    stores: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Running, Running]]:
    """The servers of two tenants, one of whose names begins as the other's."""
    folder = tmp_path_factory.mktemp("homes")
    homes = [folder / name for name in ("shop", "shop-b")]
    with (
        Running(homes[0], tenant="shop", **stores) as one,
        Running(homes[1], tenant="shop-b", **stores) as other,
    ):
        yield one, other


def count(server: Running, customer_id: str) -> int:
    """How many interactions are held of a customer."""
    request = GetCustomerRequest(customer_id=customer_id)
    return server.customers.GetCustomer(request).interaction_count


def exported(server: Running, customer_id: str) -> int:
    """How many interactions an export tells, which looks into the log."""
    replies = server.customers.ExportCustomer(ExportCustomerRequest(customer_id=customer_id))
    lines = [json.loads(each.line) for each in replies]
    return sum("interaction_id" in json.dumps(each) for each in lines)


def test_what_one_records_the_other_neither_sees_nor_erases(
    shops: tuple[Running, Running], customer: str
) -> None:
    one, other = shops
    same = viewed(customer, "eggs")
    assert record(one, same, viewed(customer, "flour")) == (2, 0)
    assert (count(one, customer), count(other, customer)) == (2, 0)
    assert exported(one, customer) > 0 and exported(other, customer) == 0
    assert record(other, same) == (1, 0)  # the same id, and no duplicate
    assert (count(one, customer), count(other, customer)) == (2, 1)
    other.customers.EraseCustomer(EraseCustomerRequest(customer_id=customer))
    assert (count(one, customer), count(other, customer)) == (2, 0)
    one.run(one.server.learn_erasures())
    assert record(one, viewed(customer, "milk")) == (1, 0)  # whom only the other has erased


def test_each_has_a_catalog_of_its_own(shops: tuple[Running, Running]) -> None:
    one, other = shops
    one.catalog.UpsertItems(UpsertItemsRequest(items=[Item(item_id="saddle", name="Saddle")]))
    asked = GetItemRequest(item_id="saddle")
    assert one.catalog.GetItem(asked).item.name == "Saddle"
    assert ending(other.catalog.GetItem, asked) == "NOT_FOUND"
    deleted = other.catalog.DeleteItems(DeleteItemsRequest(item_ids=["saddle"]))
    assert deleted.deleted_count == 0
    assert one.catalog.GetItem(asked).item.name == "Saddle"


def test_every_key_in_redis_and_every_stream_says_whose_it_is(
    shops: tuple[Running, Running], stores: dict[str, str], customer: str
) -> None:
    for server in shops:
        record(server, viewed(customer, "eggs"))
    with redis.Redis.from_url(stores["online_url"]) as client:
        keys = [each for each in client.keys("*") if customer.encode() in each]
    assert sorted(each.partition(customer.encode())[2] for each in keys) == [
        b"interplay_shop_14",
        b"interplay_shop_b_14",
    ]
    log_ids = {server.server.memory._live.log_id for server in shops}
    assert len(log_ids) == 2


def test_retention_and_tombstones_stay_within_a_tenant(
    stores: dict[str, str], tmp_path: Path
) -> None:
    settings = [settings_of(tmp_path, each, stores) for each in ("a", "a-14", "b")]
    for each in settings:
        with LiveFeatures(each) as live:
            live.log([[interaction(1, customer_id="old-customer")]])
            live.apply()
    online = [OnlineFeatures(each) for each in settings]
    late = tick(START + timedelta(days=1))
    everything = Aging(dict.fromkeys(range(256), late), late)
    assert online[0].drop_older(everything, progress=lambda count: None) == 1
    held = [len(each.read_histories(["old-customer"])[0]) for each in online]
    assert held == [0, 14, 14]


def test_a_key_of_another_tenant_is_no_key_here(stores: dict[str, str], tmp_path: Path) -> None:
    keys = {"shop": new_key(), "shop-b": new_key()}
    for tenant, key in keys.items():
        declared = caller("all", *EVERYTHING, keys=[key], channels=["*"])
        write_access(tmp_path / f"{tenant}.yaml", declared, tenant=tenant)
    asked = GetCustomerRequest(customer_id="ada")
    access = str(tmp_path / "shop.yaml")
    with Running(tmp_path / "home", tenant="shop", access=access) as server:
        codes = [ending(server.customers.GetCustomer, asked, with_key(k)) for k in keys.values()]
    assert codes == ["OK", "UNAUTHENTICATED"]
    with pytest.raises(ValueError, match="must be the --tenant of the server, 'shop-b'"):
        Running(tmp_path / "home-b", tenant="shop-b", access=access).__enter__()


def test_a_home_is_of_whoever_used_it_first(tmp_path: Path) -> None:
    claim(tmp_path / "shop", "shop")
    claim(tmp_path / "shop", "shop")
    for stranger in ("", "store"):
        with pytest.raises(TenantError, match="is of the tenant 'shop'"):
            open_log(FeatureSettings(home=tmp_path / "shop", tenant=stranger))
    open_log(FeatureSettings(home=tmp_path)).close()
    with pytest.raises(TenantError, match="is of the tenant ''"):
        open_log(FeatureSettings(home=tmp_path, tenant="shop"))


def test_names_tell_tenants_apart() -> None:
    assert of_tenant("interplay-items", "") == "interplay-items"
    assert of_tenant("interplay-items", "shop-b") == "interplay-shop-b-items"
    assert of_tenant("interplay.items", "shop", ".") == "interplay.shop.items"
    assert Home(Path(), tenant="shop").model_name == "interplay-shop"
    for wrong in ("Shop", "shop_b", "-shop", "a.b", "a" * 41, "searches"):
        with pytest.raises(click.UsageError, match="must be kebab-case"):
            FeatureSettings(tenant=wrong)


def test_a_password_of_nats_is_in_no_text() -> None:
    url = "nats://serving:secret@one:4222,nats://serving:secret@two:4222"
    assert address_of(url) == "nats://one:4222,nats://two:4222"
    assert address_of("nats://one:4222") == "nats://one:4222"
