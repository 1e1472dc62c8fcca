"""Requests that record interactions: endless, all different, for the load generator."""

import itertools
import uuid
from collections.abc import Iterator

from interplay.v1.interaction_pb2 import Interaction
from interplay.v1.personalization_service_pb2 import RecordInteractionsRequest

CUSTOMERS = 5000
BATCH = 100


def batches(process: int) -> Iterator[bytes]:
    """Each with a hundred views and carts of a hundred customers."""
    return _requests(BATCH)


def singles(process: int) -> Iterator[bytes]:
    """Each with one view."""
    return _requests(1)


def _requests(size: int) -> Iterator[bytes]:
    visit, numbers = uuid.uuid4().hex[:8], itertools.count()
    while True:
        interactions = [_interaction(visit, next(numbers)) for _ in range(size)]
        yield RecordInteractionsRequest(interactions=interactions).SerializeToString()


def _interaction(visit: str, number: int) -> Interaction:
    interaction = Interaction(
        source="load",
        interaction_id=f"{visit}-{number}",
        customer_id=f"customer-{number % CUSTOMERS:07d}",
        type="cart-add" if number % 5 == 0 else "view",
        channel="web",
        item_id=f"item-{number % 997:06d}",
    )
    interaction.event_time.GetCurrentTime()
    return interaction
