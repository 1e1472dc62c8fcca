"""A channel frontend: the API as its developers call it, over gRPC."""

import itertools
import time
import uuid
from collections.abc import Sequence

import grpc
from interplay.v1 import customer_service_pb2_grpc, personalization_service_pb2_grpc
from interplay.v1.customer_service_pb2 import GetCustomerRequest, HeldInteraction
from interplay.v1.interaction_pb2 import Interaction
from interplay.v1.personalization_service_pb2 import (
    DecideInteractionRequest,
    DecideInteractionResponse,
    RecordInteractionsRequest,
)

DECIDE = "/interplay.v1.PersonalizationService/DecideInteraction"
RECORD = "/interplay.v1.PersonalizationService/RecordInteractions"
TIMEOUT_S = 5.0
APART_NS = 10_000_000  # what is less than 4 ms apart has no order


class Frontend:
    """A connection to a server; close() ends it."""

    def __init__(self, address: str) -> None:
        """Connects when first called."""
        self._channel = grpc.insecure_channel(address)
        self._personalization = personalization_service_pb2_grpc.PersonalizationServiceStub(
            self._channel
        )
        self._customers = customer_service_pb2_grpc.CustomerServiceStub(self._channel)
        self._visit, self._numbers = uuid.uuid4().hex[:8], itertools.count(1)

    def ask(self, customer_id: str, channel: str, *, k: int) -> DecideInteractionResponse:
        """What next for this customer, in this channel?"""
        request = question(customer_id, channel, k=k)
        return self._personalization.DecideInteraction(request, timeout=TIMEOUT_S)

    def record(self, customer_id: str, channel: str, types: Sequence[str], item_id: str) -> None:
        """The customer did these things with an item, in this channel, now."""
        request = RecordInteractionsRequest()
        began_ns = time.time_ns()
        for place, type_ in enumerate(types):
            interaction = Interaction(
                source="frontend",
                interaction_id=f"{self._visit}-{next(self._numbers)}",
                customer_id=customer_id,
                session_id=self._visit,
                type=type_,
                channel=channel,
                item_id=item_id,
            )
            interaction.event_time.FromNanoseconds(began_ns + place * APART_NS)
            request.interactions.append(interaction)
        self._personalization.RecordInteractions(request, timeout=TIMEOUT_S)

    def held(self, customer_id: str) -> Sequence[HeldInteraction]:
        """What is held of a customer, newest first."""
        request = GetCustomerRequest(customer_id=customer_id)
        return self._customers.GetCustomer(request, timeout=TIMEOUT_S).interactions

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()


def question(customer_id: str, channel: str, *, k: int) -> DecideInteractionRequest:
    """The request that ask() sends."""
    return DecideInteractionRequest(customer_id=customer_id, channel=channel, placement="home", k=k)


def views(customer_ids: Sequence[str], count: int) -> list[bytes]:
    """Requests that record one view each, all different, of customers in turn."""
    visit, requests = uuid.uuid4().hex[:8], []
    for number in range(count):
        interaction = Interaction(
            source="load",
            interaction_id=f"{visit}-{number}",
            customer_id=customer_ids[number % len(customer_ids)],
            type="view",
            channel="web",
        )
        interaction.event_time.GetCurrentTime()
        request = RecordInteractionsRequest(interactions=[interaction])
        requests.append(request.SerializeToString())
    return requests
