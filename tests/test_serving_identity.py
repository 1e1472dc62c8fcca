"""Whoever is identified is answered as one, under both ids, from the next request on."""

from interplay.v1.customer_service_pb2 import GetCustomerRequest
from interplay.v1.personalization_service_pb2 import DecideInteractionRequest

from tests.running import Running, record, viewed


def seen(running: Running, **ids: str) -> int:
    request = DecideInteractionRequest(channel="web", **ids)
    return running.personalization.DecideInteraction(request).freshness.interactions_seen


def test_an_identify_joins_what_both_ids_did(running: Running, customer: str) -> None:
    cookie = f"cookie-{customer}"
    record(running, viewed("", "item-1", anonymous_id=cookie), viewed(customer, "item-2"))
    assert (seen(running, customer_id=customer), seen(running, anonymous_id=cookie)) == (1, 1)
    record(running, viewed(customer, "", type="identify", anonymous_id=cookie))
    assert (seen(running, customer_id=customer), seen(running, anonymous_id=cookie)) == (3, 3)
    record(running, viewed("", "item-3", anonymous_id=cookie))
    held = running.customers.GetCustomer(GetCustomerRequest(customer_id=customer)).interactions
    assert [each.type for each in held] == ["view", "identify", "view", "view"]


def test_two_known_customers_stay_two(running: Running, customer: str) -> None:
    other, cookie = f"other-{customer}", f"cookie-{customer}"
    for each in (customer, other):
        record(running, viewed(each, "", type="identify", anonymous_id=cookie))
    record(running, viewed("", "item-1", anonymous_id=cookie))
    assert (seen(running, customer_id=customer), seen(running, customer_id=other)) == (2, 1)
