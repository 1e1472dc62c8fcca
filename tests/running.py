"""A real server in this process, and a real channel to it."""

import asyncio
import itertools
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from interplay.v1.catalog_service_pb2_grpc import CatalogServiceStub
from interplay.v1.customer_service_pb2_grpc import CustomerServiceStub
from interplay.v1.decision_service_pb2_grpc import DecisionServiceStub
from interplay.v1.interaction_pb2 import Interaction
from interplay.v1.model_service_pb2_grpc import ModelServiceStub
from interplay.v1.personalization_service_pb2 import (
    DecideInteractionRequest,
    DecideInteractionResponse,
    RecordInteractionsRequest,
)
from interplay.v1.personalization_service_pb2_grpc import PersonalizationServiceStub

from features.item import Item
from features.log.sqlite import SqliteLog
from features.settings import Home
from serving.server import Server
from serving.settings import ServingSettings
from serving.tracing import Tracing
from tests.artefacts import ITEM_IDS
from tests.policies import EVEN


def add_items(home: Path, *item_ids: str) -> None:
    """Puts items into the catalog that a server will find; their names are capitalized ids."""
    log = SqliteLog(Home(home).log)
    log.upsert_items([Item(item_id=each, name=each.title()) for each in item_ids or ITEM_IDS])
    log.close()


T = TypeVar("T")
NEW_YEAR = 1767225600  # 2026-01-01
NUMBERS = itertools.count()


def viewed(customer_id: str, item_id: str, **changes: Any) -> Interaction:
    """A view of the item in the app, later than every one before."""
    fields = {
        "interaction_id": f"view-{next(NUMBERS)}",
        "source": "test",
        "customer_id": customer_id,
        "type": "view",
        "channel": "app",
        "item_id": item_id,
        "event_time": Timestamp(seconds=NEW_YEAR + next(NUMBERS)),
    }
    return Interaction(**(fields | changes))


def asked(**fields: Any) -> DecideInteractionRequest:
    """A question about ada from the web, unless told otherwise."""
    return DecideInteractionRequest(**({"customer_id": "ada", "channel": "web"} | fields))


class Running:
    """A server with its stubs, from `with` to the end of the block."""

    def __init__(
        self,
        home: Path,
        *,
        tracing: Tracing | None = None,
        connect: Callable[[str], grpc.Channel] = grpc.insecure_channel,
        **settings: object,
    ) -> None:
        """Listens on a free port; looks for a champion only by refresh(), sweeps by sweep()."""
        at_leisure = {"refresh_s": 3600.0, "sweep_s": 3600.0, "read_ms": 10_000.0}
        trusting = {"assumed_consent": "personalization, measurement", "insecure": True}
        values = {"home": home, "port": 0, "policy": EVEN} | at_leisure | trusting | settings
        self.settings = ServingSettings(**values)  # type: ignore[arg-type]
        self._tracing, self._connect = tracing, connect
        self._ended = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> "Running":
        """Starts, and connects."""
        self._thread.start()
        self.server = Server(self.settings, self._tracing)
        self.run(self.server.startup())
        self.address = f"127.0.0.1:{self.server.port}"
        self.channel = self._connect(self.address)
        self.personalization = PersonalizationServiceStub(self.channel)
        self.catalog = CatalogServiceStub(self.channel)
        self.customers = CustomerServiceStub(self.channel)
        self.decisions = DecisionServiceStub(self.channel)
        self.models = ModelServiceStub(self.channel)
        return self

    def refresh(self) -> None:
        """Looks for a new champion."""
        self.run(self.server.refresh())

    def sweep(self) -> None:
        """Applies what was left behind."""
        self.run(self.server.memory.sweep())

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs it in the server's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def shut_down(self) -> None:
        """As on SIGTERM, once."""
        if not self._ended:
            self._ended = True
            self.run(self.server.shutdown())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Shuts down."""
        self.channel.close()
        self.shut_down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def record(running: Running, *interactions: Interaction) -> tuple[int, int]:
    """Writes interactions; gives how many were accepted, and how many duplicates."""
    request = RecordInteractionsRequest(interactions=interactions)
    reply = running.personalization.RecordInteractions(request)
    return reply.accepted_count, reply.duplicate_count


def decide(running: Running, customer_id: str, **fields: Any) -> DecideInteractionResponse:
    """Asks, in the web shop unless told otherwise."""
    request = DecideInteractionRequest(customer_id=customer_id, **({"channel": "web"} | fields))
    return running.personalization.DecideInteraction(request)


def offered(reply: DecideInteractionResponse) -> list[str]:
    """The items of an answer."""
    return [each.item_id for each in reply.candidates]
