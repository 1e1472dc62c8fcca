"""A home with models of three kinds, and what a server makes of them."""

from pathlib import Path

from interplay.v1.personalization_service_pb2 import DEGRADATION_LEVEL_NONE

from features.rollout import CANARY
from features.settings import Home
from serving.rollout.canary import Canary
from tests.artefacts import ITEM_IDS, crown, publish, write_artefact
from tests.running import Running, add_items, decide, offered

CUSTOMERS = [f"customer-{number}" for number in range(40)]
KNOWN = 5  # channels that the failing model knows: it cannot run for e-mail


def three_versions(folder: Path) -> Home:
    """1 is the champion, 2 ranks the other way round, and 3 fails for e-mail."""
    home = Home(folder / "home")
    add_items(home.path)
    publish(home, write_artefact(folder / "first"))
    publish(home, write_artefact(folder / "second", item_ids=ITEM_IDS[::-1]))
    publish(home, write_artefact(folder / "third", channels=KNOWN))
    crown(home, "1")
    return home


def versions(running: Running, channel: str = "web") -> list[str]:
    """Which model answers each customer, whole and undegraded."""
    replies = [decide(running, each, k=1, channel=channel) for each in CUSTOMERS]
    levels = {each.freshness.degradation_level for each in replies}
    assert levels == {DEGRADATION_LEVEL_NONE}
    best = {("1", "apple"), ("2", "flour"), ("3", "apple")}
    assert {(each.model_version, *offered(each)) for each in replies} <= best
    return [each.model_version for each in replies]


def count(running: Running, name: str, **labels: str) -> float:
    """What a metric says."""
    return running.server.metrics.registry.get_sample_value(name, labels) or 0


def runs(running: Running, ending: str) -> float:
    """How many of the canary's runs ended so."""
    return count(running, "interplay_rollout_runs_total", alias=CANARY, ending=ending)


def canary_of(running: Running) -> Canary:
    """The canary, which there is."""
    canary = running.server.decider.canary
    assert canary is not None
    return canary
