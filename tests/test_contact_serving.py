"""A server turns to nobody more often than they bear, whichever of its processes is asked."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import numpy as np
import pytest
from interplay.v1.customer_service_pb2 import EraseCustomerRequest, ExportCustomerRequest
from interplay.v1.interaction_pb2 import INITIATOR_COMPANY, INITIATOR_CUSTOMER
from interplay.v1.personalization_service_pb2 import (
    DecideInteractionResponse,
    NoAction,
    RecordInteractionsRequest,
)
from interplay.v1.personalization_service_pb2_grpc import PersonalizationServiceStub

from features.attention import spendings
from features.online.store import OnlineFeatures
from features.settings import FeatureSettings
from tests.policies import EVEN
from tests.redis_server import RedisServer, SlowLine
from tests.running import NUMBERS, Running, asked, decide, record, viewed

ONE = """
contact:
  budget: {capacity: 1.0, per_day: 0.0, engaged: 0.0}
"""
Stub = PersonalizationServiceStub


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One contact, and never another one."""
    path = tmp_path_factory.mktemp("policy") / "policy.yaml"
    path.write_text(EVEN.read_text() + ONE)
    return path


@pytest.fixture(scope="module")
def own(home: Path, policy: Path) -> Iterator[Running]:
    with Running(home, policy=policy) as server:
        yield server


def opted_in(customer: str):  # type: ignore[no-untyped-def]
    return viewed(customer, "", type="opt-in", attributes={"purpose": "contact"})


def contacted(running: Running, customer: str, **fields: object) -> DecideInteractionResponse:
    return decide(
        running, customer, **({"channel": "email", "initiator": INITIATOR_COMPANY} | fields)
    )


def why(reply: DecideInteractionResponse) -> str:
    assert not reply.candidates
    assert reply.no_action.reason == NoAction.REASON_FATIGUE
    return reply.no_action.detail


def test_the_last_contact_is_spent_once_in_any_channel(own: Running, customer: str) -> None:
    record(own, opted_in(customer))
    assert contacted(own, customer, channel="push").candidates
    reply = contacted(own, customer)
    assert why(reply) == "budget"
    assert reply.decision_id
    assert decide(own, customer, channel="email").candidates  # who asks is answered
    counted = own.server.metrics.registry.get_sample_value(
        "interplay_decisions_total", {"degradation": "NONE", "action": "FATIGUE"}
    )
    assert counted


def test_silence_spends_nothing(own: Running, customer: str) -> None:
    record(own, opted_in(customer))
    nothing = contacted(own, customer, candidate_item_ids=["nobody-knows-it"])
    assert nothing.no_action.reason == NoAction.REASON_NOT_ELIGIBLE
    assert contacted(own, customer).candidates


def test_what_was_not_shown_comes_back(own: Running, policy: Path, customer: str) -> None:
    shown, unseen = f"{customer}-shown", f"{customer}-unseen"
    record(own, opted_in(shown), opted_in(unseen))
    reply = contacted(own, shown)
    assert contacted(own, unseen).candidates
    record(own, viewed(shown, "", type="impression", decision_id=reply.decision_id))
    policy.write_text(EVEN.read_text() + ONE.replace("engaged", "unseen_hours: 1.0e-9, engaged"))
    own.refresh()
    assert why(contacted(own, shown)) == "budget"
    assert contacted(own, unseen).candidates
    policy.write_text(EVEN.read_text() + ONE)
    own.refresh()


def test_an_open_case_is_for_service_not_for_sales(own: Running, customer: str) -> None:
    complaint = viewed(customer, "", type="complaint", channel="contact-center")
    complaint.event_time.GetCurrentTime()
    record(own, opted_in(customer), complaint)
    assert why(contacted(own, customer)) == "open-case"
    solved = viewed(customer, "", type="service-reply")
    solved.event_time.GetCurrentTime()
    assert contacted(own, customer, interactions=[solved]).candidates


def test_who_was_anonymous_has_one_budget(own: Running, customer: str) -> None:
    device = f"device-{customer}"
    joined = viewed(customer, "", type="identify", anonymous_id=device)
    record(own, opted_in(customer), joined)
    assert contacted(own, "", anonymous_id=device).candidates
    assert why(contacted(own, customer)) == "budget"


def test_a_ledger_is_exported_and_erased(own: Running, customer: str) -> None:
    record(own, opted_in(customer))
    assert contacted(own, customer).candidates
    exported = own.customers.ExportCustomer(ExportCustomerRequest(customer_id=customer))
    lines = [json.loads(each.line) for each in exported]
    ((cost, shown),) = [
        (each["cost"], each["shown"]) for each in lines if each["kind"] == "attention"
    ]
    assert (cost, shown) == (1.0, False)
    own.customers.EraseCustomer(EraseCustomerRequest(customer_id=customer))
    again = opted_in(customer)
    again.event_time.FromNanoseconds(time.time_ns() + 10**9)  # behind the erasure
    record(own, again)
    assert contacted(own, customer).candidates


def test_a_time_zone_that_there_is_not_is_refused(own: Running, customer: str) -> None:
    for zone in ("Mars/Olympus", "../etc/passwd", "Europe", "x" * 65):
        with pytest.raises(grpc.RpcError) as refused:
            own.personalization.DecideInteraction(asked(customer_id=customer, time_zone=zone))
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "time_zone" in (refused.value.details() or "")
    assert contacted(own, customer, time_zone="Europe/Berlin").HasField("no_action")


def test_a_store_that_is_lost_turns_to_nobody(
    home: Path, policy: Path, redis: RedisServer, customer: str
) -> None:
    trusting = {"assumed_consent": "contact", "online_url": redis.url, "policy": policy}
    with Running(home, **trusting) as server:
        assert contacted(server, customer).candidates
        redis.kill()
        reply = contacted(server, f"{customer}-other")
        assert why(reply) == "unknown"
        redis.start()
        assert why(contacted(server, customer)) == "unknown"  # until it is whole again


def test_a_contact_takes_one_round_trip_more(
    home: Path, policy: Path, redis: RedisServer, customer: str
) -> None:
    line = SlowLine(redis.port)
    settings = {"online_url": f"{line.url}?socket_timeout=10", "policy": policy}
    with Running(home, assumed_consent="contact", **settings) as server:
        assert contacted(server, f"{customer}-first").candidates  # the server learns the script
        trips = [line.question_count]
        for initiator in (INITIATOR_CUSTOMER, INITIATOR_COMPANY):
            assert contacted(server, customer, initiator=initiator).candidates
            trips.append(line.question_count)
        assert why(contacted(server, customer)) == "budget"
        trips.append(line.question_count)
    line.close()
    assert np.diff(trips).tolist() == [1, 2, 1]


@contextmanager
def serving(home: Path, *arguments: str) -> Iterator[Stub]:
    """A server in a process of its own."""
    command = [sys.executable, "-m", "serving", "--home", str(home), "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"SERVING on (\S+):", process.stdout.readline())
            assert found is not None
            with grpc.insecure_channel(found[1]) as channel:
                yield PersonalizationServiceStub(channel)
        finally:
            process.terminate()


def test_two_servers_do_not_both_spend_the_last_contact(
    home: Path, policy: Path, redis: RedisServer
) -> None:
    customers = [f"contested-{next(NUMBERS)}" for _ in range(30)]
    arguments = ("--online-url", redis.url, "--policy", str(policy), "--read-ms", "10000")
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(home, *arguments)) for _ in range(2)]
        opted = [opted_in(each) for each in customers]
        servers[0].RecordInteractions(RecordInteractionsRequest(interactions=opted))
        threads = stack.enter_context(ThreadPoolExecutor(8))

        def ask(at: int) -> DecideInteractionResponse:
            """Four times each customer, of both servers at the same moment."""
            question = asked(
                customer_id=customers[at // 4], channel="email", initiator=INITIATOR_COMPANY
            )
            return servers[at % 2].DecideInteraction(question)

        replies = list(threads.map(ask, range(4 * len(customers))))
    for at in range(len(customers)):
        four = replies[4 * at : 4 * at + 4]
        assert sum(bool(each.candidates) for each in four) == 1
        assert {why(each) for each in four if not each.candidates} == {"budget"}
    online = OnlineFeatures(FeatureSettings(home=home, online_url=redis.url))
    ledgers = [each.attention for each in online.read_known(customers, ledgers=True)]
    assert [len(spendings(each).tick) for each in ledgers] == [1] * len(customers)
