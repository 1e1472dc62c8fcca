"""A real server in this process, and a real channel to it."""

import asyncio
import threading
from pathlib import Path
from types import TracebackType

import grpc
from interplay.v1.catalog_service_pb2_grpc import CatalogServiceStub
from interplay.v1.customer_service_pb2_grpc import CustomerServiceStub
from interplay.v1.model_service_pb2_grpc import ModelServiceStub
from interplay.v1.personalization_service_pb2_grpc import PersonalizationServiceStub

from features.item import Item
from features.log import Log
from features.settings import Home
from serving.server import Server
from serving.settings import ServingSettings
from tests.artefacts import ITEM_IDS


def add_items(home: Path, *item_ids: str) -> None:
    """Puts items into the catalog that a server will find; their names are capitalized ids."""
    log = Log(Home(home).log)
    log.upsert_items([Item(item_id=each, name=each.title()) for each in item_ids or ITEM_IDS])
    log.close()


class Running:
    """A server with its stubs, from `with` to the end of the block."""

    def __init__(self, home: Path, **settings: object) -> None:
        """Listens on a free port; a new champion is looked for only by refresh()."""
        values = {"home": home, "port": 0, "refresh_s": 3600.0} | settings
        self.settings = ServingSettings(**values)  # type: ignore[arg-type]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> "Running":
        """Starts, and connects."""
        self._thread.start()
        self.server = Server(self.settings)
        self._await(self.server.startup())
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.server.port}")
        self.personalization = PersonalizationServiceStub(self.channel)
        self.catalog = CatalogServiceStub(self.channel)
        self.customers = CustomerServiceStub(self.channel)
        self.models = ModelServiceStub(self.channel)
        return self

    def refresh(self) -> None:
        """Looks for a new champion."""
        self._await(self.server.refresh())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Shuts down as on SIGTERM."""
        self.channel.close()
        self._await(self.server.shutdown())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _await(self, coroutine) -> None:  # type: ignore[no-untyped-def]
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
