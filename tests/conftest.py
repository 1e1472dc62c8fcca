"""What tests share: hypothesis without wall-clock deadlines, and one server a file."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import prometheus_client  # noqa: F401  # before feast, which would change its mode, as in serving
import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from features.settings import FeatureSettings, Home
    from tests.nats_server import NatsServer
    from tests.redis_server import RedisServer
    from tests.running import Running

# Programs that tests start: see tests.policies; and anybody on this machine may call them.
os.environ["INTERPLAY_INSECURE"] = "true"
os.environ["INTERPLAY_POLICY"] = str(Path(__file__).with_name("even.yaml"))
settings.register_profile("interplay", deadline=None)
settings.load_profile("interplay")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a catalog and a champion."""
    from features.settings import Home
    from tests.artefacts import publish, write_artefact
    from tests.running import add_items  # imports feast: seconds that other tests do not need

    path = tmp_path_factory.mktemp("home")
    add_items(path)
    publish(Home(path), write_artefact(tmp_path_factory.mktemp("model") / "artefact"))
    return path


@pytest.fixture(scope="module")
def running(home: Path) -> "Iterator[Running]":
    """A server on that home."""
    from tests.running import Running

    with Running(home) as server:
        yield server


@pytest.fixture
def three_models(tmp_path: Path) -> "Home":
    """A home with a champion and two more models: see tests.canaries."""
    from tests.canaries import three_versions

    return three_versions(tmp_path)


@pytest.fixture
def three_running(three_models: "Home") -> "Iterator[Running]":
    """A server on that home."""
    from tests.running import Running

    with Running(three_models.path) as server:
        yield server


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A canary has the time that it takes, however slow this machine may be."""
    import serving.rollout.canary

    monkeypatch.setattr(serving.rollout.canary, "PATIENCE_S", 30.0)


@pytest.fixture
def nats(tmp_path: Path) -> "Iterator[NatsServer]":
    """An empty log server."""
    from tests.nats_server import NatsServer

    with NatsServer(tmp_path / "nats") as server:
        yield server


@pytest.fixture(params=["sqlite", "nats"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> "Iterator[FeatureSettings]":
    """Settings of an empty log of either kind."""
    from features.settings import FeatureSettings
    from tests.nats_server import NatsServer

    if request.param == "sqlite":
        yield FeatureSettings(home=tmp_path)
        return
    with NatsServer(tmp_path / "nats") as server:
        yield FeatureSettings(home=tmp_path, log_url=server.url)


@pytest.fixture
def redis(tmp_path: Path) -> "Iterator[RedisServer]":
    """An empty online store."""
    from tests.redis_server import RedisServer

    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture
def customer() -> str:
    """A customer nobody else asks about."""
    from tests.running import NUMBERS

    return f"customer-{next(NUMBERS)}"
