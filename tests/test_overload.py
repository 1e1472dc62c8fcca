"""A server that is asked for far more than it can: everybody hears, and nothing is lost."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from interplay.v1.customer_service_pb2 import GetCustomerRequest
from interplay.v1.customer_service_pb2_grpc import CustomerServiceStub
from interplay.v1.personalization_service_pb2 import RecordInteractionsRequest
from interplay.v1.personalization_service_pb2_grpc import PersonalizationServiceStub

from benchmarks.composed import started
from benchmarks.frontend import DECIDE, question
from benchmarks.load import Load, LoadResult, run
from tests.running import viewed

MOST_WRITTEN = 40  # fewer than a customer's history holds
REFUSALS = {"RESOURCE_EXHAUSTED", "CANCELLED", "DEADLINE_EXCEEDED"}


def flood(target: str) -> LoadResult:
    """Several times what a server on a core can answer."""
    requests = [question(f"customer-{at}", "web", k=5).SerializeToString() for at in range(50)]
    load = Load(
        target=target,
        method=DECIDE,
        requests=requests,
        rate=6000,
        arrivals="constant",
        seconds=2.0,
        warmup_s=0.0,
        deadline_ms=100,
        exact=False,
    )
    return run(load)


def written(stub: PersonalizationServiceStub) -> bool:
    """Whether one more interaction of the customer was acknowledged; else it was refused."""
    request = RecordInteractionsRequest(interactions=[viewed("writer", "eggs")])
    try:
        return stub.RecordInteractions(request, timeout=10).accepted_count == 1
    except grpc.RpcError as error:
        assert error.code().name in REFUSALS
        return False


def test_a_flood_is_refused_and_takes_nothing_with_it(home: Path) -> None:
    with (
        started(home) as server,
        ThreadPoolExecutor(1) as pool,
        grpc.insecure_channel(server.address) as channel,
    ):
        stub, flooding = PersonalizationServiceStub(channel), pool.submit(flood, server.address)
        accepted = tries = 0
        while not flooding.done() and tries < MOST_WRITTEN:
            accepted, tries = accepted + written(stub), tries + 1
        counts = flooding.result().counts()
        customers = CustomerServiceStub(channel)
        held = customers.GetCustomer(GetCustomerRequest(customer_id="writer")).interactions
        checked = HealthStub(channel).Check(HealthCheckRequest(), timeout=10)
        decided = stub.DecideInteraction(question("writer", "web", k=5), timeout=10)
    assert set(counts) <= {"OK", *REFUSALS}
    assert counts["OK"] and sum(counts.values()) == 12_000
    assert counts.get("RESOURCE_EXHAUSTED", 0) + counts.get("CANCELLED", 0)
    assert len(held) >= accepted  # one that was refused may have been kept before its time ran out
    assert checked.status == HealthCheckResponse.SERVING
    assert decided.freshness.interactions_seen == min(len(held), 8)
