"""How Feast is configured: registry, online store, and offline store of these settings."""

from feast import RepoConfig
from feast.repo_config import FeastConfigBaseModel, RegistryConfig

from features.online.registry import WholeFileRegistryStore
from features.online.sqlite import HistorySqliteOnlineStoreConfig
from features.record import RECORD_BYTES
from features.settings import FeatureSettings, Home
from features.tenant import claim, of_tenant

PROJECT = f"interplay_{RECORD_BYTES}"  # what holds records of another size is not read


def repo_config(settings: FeatureSettings) -> RepoConfig:
    """Of a home, which comes into being with it."""
    home = Home(settings.home)
    home.path.mkdir(parents=True, exist_ok=True)
    claim(home.path, settings.tenant)
    return RepoConfig(
        project=of_tenant(PROJECT, settings.tenant, "_").replace("-", "_"),
        provider="local",
        registry=RegistryConfig(
            registry_store_type=f"{WholeFileRegistryStore.__module__}.WholeFileRegistryStore",
            path=str(home.feast_registry.resolve()),
            cache_ttl_seconds=0,
        ),
        online_store=_store_config(settings),
        offline_store={"type": "duckdb"},
        entity_key_serialization_version=3,
    )


def _store_config(settings: FeatureSettings) -> FeastConfigBaseModel:
    if settings.online_url:
        from features.online.redis import HistoryRedisOnlineStoreConfig  # not for embedded use

        return HistoryRedisOnlineStoreConfig(url=settings.online_url)
    return HistorySqliteOnlineStoreConfig(path=str(Home(settings.home).online.resolve()))
