"""The service: the methods of the API. Each takes a request and its deadline."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from interplay.v1 import catalog_service_pb2 as catalog_pb
from interplay.v1 import customer_service_pb2 as customer_pb
from interplay.v1 import decision_service_pb2 as decision_pb
from interplay.v1 import model_service_pb2 as model_pb
from interplay.v1 import personalization_service_pb2 as personalization_pb

from features.interaction import Violation, check_customer, check_id, customer_key, shown
from serving.asking import hint_s, items_named_by, question_of
from serving.batching.admission import Gate
from serving.boundary import handler_of
from serving.calls import Calls
from serving.conversation import Conversations, Parts
from serving.customers import Customers
from serving.decider import Decider
from serving.door import (
    MAX_BATCH,
    Door,
    interactions_of,
    items_of,
)
from serving.errors import NotFoundError
from serving.explaining import Explainer
from serving.explanation_reply import explanation_reply
from serving.hearing import Hearing
from serving.memory import Memory
from serving.model.registry import Registry
from serving.replies import (
    decision_reply,
    erasure_reply,
    item_reply,
    model_message,
)
from serving.self_service import SelfService
from serving.settings import ServingSettings

MAX_PAGE, DEFAULT_PAGE = 100, 20
CustomerRequest = (
    customer_pb.GetCustomerRequest
    | customer_pb.EraseCustomerRequest
    | customer_pb.ExportCustomerRequest
    | customer_pb.SetPreferencesRequest
)

SERVICES: tuple[ServiceDescriptor, ...] = tuple(
    service
    for file in (personalization_pb, catalog_pb, customer_pb, decision_pb, model_pb)
    for service in file.DESCRIPTOR.services_by_name.values()
)
PERSONALIZATION: str = personalization_pb.DESCRIPTOR.services_by_name[
    "PersonalizationService"
].full_name


class Service:
    """All methods of all services. `deadline` is in the loop's time."""

    def __init__(
        self,
        memory: Memory,
        customers: Customers,
        decider: Decider,
        registry: Registry,
        calls: Calls,
        settings: ServingSettings,
    ) -> None:
        """Answers with these."""
        self._calls = calls
        self._memory = memory
        self._customers = customers
        self._decider = decider
        self._registry = registry
        self._self_service = SelfService(memory, decider)
        self._explainer = Explainer(memory, customers, decider)
        self._gate = Gate()
        self._hearing = Hearing(memory)
        parts = Parts(memory, decider, self._hearing, self._gate, self._door)
        self._conversations = Conversations(parts, settings, calls.metrics.conversations.set)

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """What a grpc.aio server needs to answer every method that the .proto files declare."""
        return [
            grpc.method_handlers_generic_handler(
                service.full_name, {each.name: self._handler(each) for each in service.methods}
            )
            for service in SERVICES
        ]

    def _handler(self, declared: MethodDescriptor) -> grpc.RpcMethodHandler:
        method = getattr(self, re.sub(r"(?<!^)(?=[A-Z])", "_", declared.name).lower())
        return handler_of(declared, method, self._calls, self._gate)

    async def record_interactions(
        self, request: personalization_pb.RecordInteractionsRequest, deadline: float
    ) -> personalization_pb.RecordInteractionsResponse:
        """Durable first, then visible, then acknowledged."""
        door = self._door()
        interactions = interactions_of(request.interactions, door, least=1)
        if request.strict_item_ids:
            door.check_held(items_named_by(request), self._memory.catalog)
        door.close()
        appended = await self._memory.log(interactions, deadline=deadline)
        return personalization_pb.RecordInteractionsResponse(
            accepted_count=appended.accepted_count,
            duplicate_count=appended.duplicate_count,
            pending=not await self._memory.apply(),
        )

    async def decide_interaction(
        self, request: personalization_pb.DecideInteractionRequest, deadline: float
    ) -> bytes:
        """Within the deadline hint, where that is shorter."""
        hint, catalog = hint_s(request), self._memory.catalog
        if hint is not None:
            deadline = min(deadline, asyncio.get_running_loop().time() + hint)
        question = question_of(request, self._door(), catalog=catalog, deadline=deadline)
        if hint is None:
            return decision_reply(await self._decider.decide(question), catalog)
        async with asyncio.timeout_at(deadline):
            return decision_reply(await self._decider.decide(question), catalog)

    def converse(
        self, requests: AsyncIterator[personalization_pb.ConverseRequest], deadline: float
    ) -> AsyncGenerator[bytes, None]:
        """Turn by turn."""
        return self._conversations.hold(requests, deadline)

    def end_conversations(self) -> None:
        """Each ends when it has said what it is about to."""
        self._conversations.end()

    async def close(self) -> None:
        """When no call is in flight any more."""
        await self._hearing.close()

    async def get_customer(
        self, request: customer_pb.GetCustomerRequest, deadline: float
    ) -> customer_pb.GetCustomerResponse:
        """What is held on-line, and what the model makes of it."""
        return await self._self_service.show(self._customer_key(request), deadline=deadline)

    async def set_preferences(
        self, request: customer_pb.SetPreferencesRequest, deadline: float
    ) -> customer_pb.SetPreferencesResponse:
        """Durable first, then visible, then acknowledged."""
        key, door = self._customer_key(request), self._door()
        return await self._self_service.set(request, key, door, deadline=deadline)

    async def erase_customer(
        self, request: customer_pb.EraseCustomerRequest, deadline: float
    ) -> customer_pb.EraseCustomerResponse:
        """On-line and at the door at once; log, history and files follow."""
        return erasure_reply(await self._customers.erase(self._customer_key(request)))

    async def export_customer(
        self, request: customer_pb.ExportCustomerRequest, deadline: float
    ) -> AsyncGenerator[customer_pb.ExportCustomerResponse, None]:
        """Everything that is held."""
        async for line in self._customers.export(self._customer_key(request)):
            yield customer_pb.ExportCustomerResponse(line=line)

    async def explain_decision(
        self, request: decision_pb.ExplainDecisionRequest, deadline: float
    ) -> decision_pb.ExplainDecisionResponse:
        """Why this, and why not that."""
        door = self._door()
        door.note(check_id("decision_id", request.decision_id, required=True))
        door.note(check_id("item_id", request.item_id or None))
        door.close()
        explanation = await self._explainer.explain(
            request.decision_id, request.item_id, deadline=deadline
        )
        return explanation_reply(explanation)

    async def upsert_items(
        self, request: catalog_pb.UpsertItemsRequest, deadline: float
    ) -> catalog_pb.UpsertItemsResponse:
        """One by one, each durably."""
        items = items_of(request.items, self._door())
        await self._memory.upsert_items(items)
        return catalog_pb.UpsertItemsResponse(upserted_count=len(items))

    async def delete_items(
        self, request: catalog_pb.DeleteItemsRequest, deadline: float
    ) -> catalog_pb.DeleteItemsResponse:
        """Those that there are."""
        door = self._door()
        door.check_item_ids("item_ids", request.item_ids, MAX_BATCH, least=1)
        door.close()
        deleted = await self._memory.delete_items(list(request.item_ids))
        return catalog_pb.DeleteItemsResponse(deleted_count=deleted)

    async def get_item(
        self, request: catalog_pb.GetItemRequest, deadline: float
    ) -> catalog_pb.GetItemResponse:
        """One item."""
        door = self._door()
        door.note(check_id("item_id", request.item_id, required=True))
        door.close()
        item = await self._memory.get_item(request.item_id)
        if item is None:
            text = f"item_id is {shown(request.item_id)}: the catalog holds no such item"
            raise NotFoundError(text)
        return item_reply(item)

    async def get_model(
        self, request: model_pb.GetModelRequest, deadline: float
    ) -> model_pb.GetModelResponse:
        """The model that answers, or one version."""
        serving = self._decider.model
        version = request.version or (serving.version if serving else "")
        if not version:
            raise NotFoundError("version is '': no model answers yet")
        registered = await asyncio.to_thread(self._registry.describe, version)
        return model_pb.GetModelResponse(model=model_message(registered, serving))

    async def list_models(
        self, request: model_pb.ListModelsRequest, deadline: float
    ) -> model_pb.ListModelsResponse:
        """A page of versions."""
        door, size = self._door(), request.page_size
        if not 0 <= size <= MAX_PAGE:
            rule = f"must be 1 to {MAX_PAGE}, or 0 for {DEFAULT_PAGE}"
            door.note([Violation("page_size", str(size), rule)])
        door.close()
        page = await asyncio.to_thread(
            self._registry.page, size=size or DEFAULT_PAGE, token=request.page_token
        )
        serving = self._decider.model
        return model_pb.ListModelsResponse(
            models=[model_message(each, serving) for each in page.models],
            next_page_token=page.next_token,
        )

    def _door(self) -> Door:
        return Door(self._memory.vocabulary, datetime.now(UTC), self._memory.erasures)

    def _customer_key(self, request: CustomerRequest) -> str:
        ids = request.customer_id or None, request.anonymous_id or None
        door = self._door()
        door.note(check_customer(*ids))
        door.close()
        return customer_key(*ids)
