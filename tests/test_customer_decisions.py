"""The decisions made about a customer are part of the export: from log and parts, with outcomes."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from interplay.v1.catalog_service_pb2 import Item, UpsertItemsRequest
from interplay.v1.customer_service_pb2 import EraseCustomerRequest, ExportCustomerRequest
from interplay.v1.interaction_pb2 import INITIATOR_COMPANY

from features.__main__ import main
from features.decisions.contract import Stream, encode, open_stream
from features.decisions.decision import table_of
from features.decisions.draining import drain_decisions
from features.decisions.parts import DECISIONS, append, parts
from features.history.compaction import compact
from features.interaction import Interaction
from features.privacy.consent import SAID_NOTHING
from features.privacy.customer_decisions import Kept, read_decisions_of
from features.privacy.customer_history import CustomerHistory
from features.privacy.erasure import NO_ERASURES, Erasures, erased_name
from features.privacy.export import Online, export_lines
from features.record import tick
from features.settings import FeatureSettings, Home
from tests.artefacts import ITEM_IDS, publish, write_artefact
from tests.decided import NOON, candidates, decided
from tests.interactions import interaction
from tests.nats_server import NatsServer
from tests.redis_server import RedisServer
from tests.running import Running, add_items, decide, record, viewed
from tests.test_erasure import traces

WORTHS = {"view": (0.1, 0.0), "purchase": (1.0, 2.0)}
MONTH_LATER = NOON + timedelta(days=30)
DAY = 24 * 60  # minutes


@pytest.fixture
def stream(settings: FeatureSettings) -> Iterator[Stream]:
    with open_stream(settings) as opened:
        yield opened


def ada(*interactions: Interaction, phones: tuple[str, ...] = ()) -> CustomerHistory:
    return CustomerHistory("ada", phones, interactions)


def told(
    settings: FeatureSettings,
    stream: Stream,
    history: CustomerHistory,
    *,
    now: datetime = MONTH_LATER,
    erasures: Erasures = NO_ERASURES,
) -> list[dict[str, Any]]:
    """The lines of kind decision."""
    kept = Kept(Home(settings.home), stream, erasures)
    decisions = read_decisions_of(history, kept, WORTHS, now=now)
    lines = export_lines(history, Online((), SAID_NOTHING), decisions, now=now)
    every = [json.loads(each) for each in lines]
    return [each for each in every if each["kind"] == "decision"]


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [each["decision_id"] for each in rows]


def bought(number: int, minutes: float, **changes: object) -> Interaction:
    fields = {"type": "purchase", "item_id": "apple", **changes}
    return interaction(number, event_time=NOON + timedelta(minutes=minutes), **fields)


def test_a_decision_is_told_with_all_that_was_logged(
    settings: FeatureSettings, stream: Stream
) -> None:
    logged = decided(removed={"filter": 3}, arm="full", candidates=candidates(propensity=0.5))
    stream.append(encode([logged]))
    assert told(settings, stream, ada(), now=NOON) == [
        {
            "kind": "decision",
            "decision_id": logged.decision_id,
            "decide_time": "2026-03-01T12:00:00+00:00",
            "channel": "web",
            "initiator": "CUSTOMER",
            "arm": "full",
            "degradation": "NONE",
            "model_version": "1",
            "policy_version": "even",
            "k": 1,
            "attention": 0.0,
            "customer_floor": 0.0,
            "removed": {"filter": 3},
            "considered_count": 2,
            "history_count": 0,
            "candidates": [
                {
                    "item_id": "apple",
                    "price": 10.0,
                    "probabilities": {"view": 0.25, "purchase": 0.125},
                    "customer_value": 0.375,
                    "company_value": 0.375,
                    "value": 0.375,
                    "muted": False,
                    "position": 0,
                    "propensity": 0.5,
                },
                {
                    "item_id": "bread",
                    "price": 10.0,
                    "probabilities": {"view": 0.125, "purchase": 0.0625},
                    "customer_value": 0.1875,
                    "company_value": 0.1875,
                    "value": 0.1875,
                    "muted": False,
                    "propensity": 0.0,
                },
            ],
        }
    ]


def test_each_decision_is_told_once_in_time_order(
    settings: FeatureSettings, stream: Stream
) -> None:
    home = Home(settings.home)
    days = [decided(number * DAY) for number in range(4)]
    phone = decided(5, customer_key="anonymous:phone")
    others = [decided(6, customer_key="bob"), decided(7, customer_key=None)]
    for each in (days[2], days[0], phone, *others):
        stream.append(encode([each]))
    drain_decisions(settings)
    stream.append(encode([days[3], days[1]]))
    append(home.decisions, table_of([days[3]]))  # a drain that was cut off
    every = [days[0], phone, *days[1:]]
    for _ in range(2):
        rows = told(settings, stream, ada(phones=("phone",)))
        assert ids(rows) == [each.decision_id for each in every]
        assert [each.get("anonymous_id") for each in rows] == [None, "phone", None, None, None]
        compact(home.decisions, form=DECISIONS, grace_s=3600, now=0)
    assert ids(told(settings, stream, ada())) == [each.decision_id for each in days]


def test_what_came_of_it_is_told_once_the_window_is_over(
    settings: FeatureSettings, stream: Stream
) -> None:
    first, second = decided(0), decided(DAY)
    silent = decided(9 * DAY, reason="low-value", candidates=candidates(offered=0))
    stream.append(encode([first, second, silent]))
    shown = [
        bought(n, minutes, type="impression", initiator="COMPANY", decision_id=each.decision_id)
        for n, minutes, each in ((0, 1, first), (1, DAY + 1, second))
    ]
    later = bought(2, DAY + 5), bought(3, 2, type="view")  # of the item of both decisions
    history = ada(*shown, *later)
    rows = told(settings, stream, history)
    assert [each["candidates"][0].get("outcome") for each in rows] == [
        {"shown": True, "type": "view", "customer_value": 0.1, "company_value": 0.0},
        {"shown": True, "type": "purchase", "customer_value": 1.0, "company_value": 2.0},
        None,
    ]
    nothing = {"type": "none", "customer_value": 0.0, "company_value": 0.0}
    assert [each.get("outcome") for each in rows] == [None, None, nothing]
    rows = told(settings, stream, history, now=NOON + timedelta(days=3, hours=1))
    assert ["outcome" in each["candidates"][0] for each in rows] == [True, False, False]


def test_what_was_decided_before_an_erasure_is_not_told(
    settings: FeatureSettings, stream: Stream
) -> None:
    append(Home(settings.home).decisions, table_of([decided(0)]))
    later = decided(3)
    stream.append(encode([decided(1), later]))
    erasures = Erasures({erased_name("ada"): tick(NOON + timedelta(minutes=2))})
    assert ids(told(settings, stream, ada(), erasures=erasures)) == [later.decision_id]


# ---- A server ----------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["embedded", "shared"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """With either way of keeping log, decisions and online store; their files are in the home."""
    home = tmp_path_factory.mktemp("home")
    publish(Home(home), write_artefact(tmp_path_factory.mktemp("model") / "artefact"))
    if request.param == "embedded":
        add_items(home)
        with Running(home) as running:
            yield running
        return
    (home / "nats").mkdir()
    with (
        NatsServer(home / "nats") as nats,
        RedisServer(home) as redis,
        Running(home, log_url=nats.url, online_url=redis.url) as running,
    ):
        items = [Item(item_id=each) for each in ITEM_IDS]
        running.catalog.UpsertItems(UpsertItemsRequest(items=items))
        yield running


def exported(running: Running, customer_id: str) -> list[dict[str, Any]]:
    lines = running.customers.ExportCustomer(ExportCustomerRequest(customer_id=customer_id))
    return [json.loads(each.line) for each in lines]


def command(running: Running, *arguments: str) -> str:
    """What a command prints."""
    names = "home", "log_url", "online_url"
    places = [f"--{each.replace('_', '-')}={getattr(running.settings, each)}" for each in names]
    return CliRunner().invoke(main, [*arguments, *places], catch_exceptions=False).output


def written(running: Running) -> None:
    running.run(running.server.decider.recorder.flush())


def test_a_server_and_the_command_export_the_same_decisions(server: Running, customer: str) -> None:
    record(server, viewed(customer, "bread"))
    first = decide(server, customer, k=2)
    written(server)
    command(server, "drain")
    second = decide(server, customer, k=1, initiator=INITIATOR_COMPANY, channel="email")
    decide(server, "somebody-else")
    written(server)
    lines = exported(server, customer)
    rows = [each for each in lines if each["kind"] == "decision"]
    assert ids(rows) == [first.decision_id, second.decision_id]
    assert lines[-2:] == rows
    placed = [each["item_id"] for each in rows[0]["candidates"] if "position" in each]
    assert placed == [each.item_id for each in first.candidates]
    assert rows[0]["candidates"][0]["value"] == pytest.approx(first.candidates[0].value)
    assert (rows[1]["initiator"], rows[1]["reason"]) == ("COMPANY", "no-consent")
    printed = [json.loads(each) for each in command(server, "export", customer).splitlines()]
    assert printed[1:] == lines[1:]


def test_nothing_is_told_nor_left_of_who_was_erased(server: Running) -> None:
    gone, home = "ada-4711", Home(server.settings.home)
    for _ in range(2):
        record(server, viewed(gone, "bread"))
        kept = decide(server, "bob").decision_id
        decide(server, gone)
        written(server)
        command(server, "drain")
        decide(server, gone)
        written(server)
    compact(home.decisions, form=DECISIONS, grace_s=3600, now=0)
    kinds = [each["kind"] for each in exported(server, gone)]
    assert (kinds.count("decision"), kinds.count("interaction")) == (4, 2)
    server.customers.EraseCustomer(EraseCustomerRequest(customer_id=gone))
    nothing = ["customer", *["consent"] * 3]
    assert [each["kind"] for each in exported(server, gone)] == nothing
    assert traces(home.path, gone) != []
    command(server, "erase", "--pending")
    assert [each["kind"] for each in exported(server, gone)] == nothing
    assert kept in {each.get("decision_id") for each in exported(server, "bob")}
    assert traces(home.path, gone) == []
    assert len(parts(home.decisions)) > 0
