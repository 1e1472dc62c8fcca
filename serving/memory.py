"""The memory: the live features and the catalog as the event loop sees them.

Two threads do the blocking work: one writes the log, the other applies and reads. Concurrent
calls share one durable transaction, one apply and one read.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from features.encoding import ItemIndex
from features.erasure import Erasures
from features.interaction import Interaction
from features.item import Item
from features.live import LiveFeatures
from features.log import Appended, LogError
from features.online import OnlineError
from features.store import Known
from features.vocabulary import Vocabulary
from serving.batcher import Batcher, BatchError, in_thread
from serving.catalog import NO_ITEMS, Catalog
from serving.errors import UnavailableError
from serving.settings import ServingSettings

T = TypeVar("T")


class Memory:
    """What is known of customers and items. What fails in apply and read raises BatchError."""

    def __init__(self, live: LiveFeatures, settings: ServingSettings) -> None:
        """Takes over the open live features; close() closes them."""
        self.vocabulary: Vocabulary = live.vocabulary
        self.max_records = settings.max_records
        self.catalog = Catalog(())
        self._live = live
        self._log_thread = ThreadPoolExecutor(1, "log")
        self._features_thread = ThreadPoolExecutor(1, "features")
        bounds = {"max_batch": settings.max_batch, "max_queue": settings.max_queue}
        self._log: Batcher[Sequence[Interaction], Appended] = Batcher(
            in_thread(self._log_thread, live.log), **bounds
        )
        self._apply: Batcher[None, None] = Batcher(
            in_thread(self._features_thread, self._apply_all), **bounds
        )
        self._read: Batcher[str, bytes] = Batcher(
            in_thread(self._features_thread, live.read), **bounds
        )

    async def log(
        self, interactions: Sequence[Interaction], *, deadline: float | None = None
    ) -> Appended:
        """Makes checked interactions durable; raises UnavailableError."""
        try:
            return await self._log.ask(interactions, deadline=deadline)
        except BatchError as failure:
            raise UnavailableError(
                "the log cannot be written; nothing was kept: try again"
            ) from failure

    async def apply(self) -> None:
        """Makes everything logged count in reads."""
        await self._apply.ask(None)

    def _apply_all(self, callers: Sequence[None]) -> Sequence[None]:
        self._live.apply()
        return callers

    async def read(self, customer_key: str, *, deadline: float | None = None) -> bytes:
        """A customer's packed records, oldest first; empty for an unknown customer."""
        return await self._read.ask(customer_key, deadline=deadline)

    def staleness_s(self) -> float:
        """How long the oldest logged interaction has been waiting to be applied."""
        return self._live.staleness_s()

    @property
    def erasures(self) -> Erasures:
        """Who was erased, as far as this process has heard."""
        return self._live.erasures

    async def learn_erasures(self) -> None:
        """Hears of the erasures of other processes; raises UnavailableError."""
        await self._in_log_thread(self._live.learn_erasures)

    async def note_erasure(self, customer_keys: Sequence[str], erased_tick: int) -> None:
        """From now on nothing up to a tick is accepted of customers; raises UnavailableError."""
        await self._in_log_thread(lambda: self._live.note_erasure(customer_keys, erased_tick))

    async def erase(self, customer_keys: Sequence[str], erased_tick: int) -> int:
        """Removes customers from what is read; gives how many interactions were held."""
        return await self._in_features_thread(lambda: self._live.erase(customer_keys, erased_tick))

    async def read_known(self, customer_key: str) -> Known:
        """All that is held on-line under one key, whomever it is joined to."""
        return await self._in_features_thread(
            lambda: self._live.online.read_known([customer_key])[0]
        )

    async def _in_features_thread(self, function: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._features_thread, function)
        except OnlineError as error:
            raise UnavailableError("the online store does not answer: try again") from error

    async def upsert_items(self, items: Sequence[Item]) -> None:
        """Writes checked items durably; they count from now on."""
        await self._in_log_thread(lambda: self._live.upsert_items(items))
        self.catalog.put(items)
        await self.apply()

    async def delete_items(self, item_ids: Sequence[str]) -> int:
        """Deletes items durably and gives how many there were; they count no more."""
        held = await self._in_log_thread(lambda: self._live.delete_items(item_ids))
        self.catalog.remove(held)
        await self.apply()
        return len(held)

    async def get_item(self, item_id: str) -> Item | None:
        """One item of the catalog, from the online store."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._features_thread, self._live.get_item, item_id)

    async def read_catalog(self, model_items: ItemIndex = NO_ITEMS) -> Catalog:
        """The whole catalog as it stands in the log, aligned to a model's items."""
        return await self._in_log_thread(lambda: Catalog(self._live.items(), model_items))

    async def _in_log_thread(self, function: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._log_thread, function)
        except LogError as error:
            raise UnavailableError(
                "the log cannot be written; nothing was kept: try again"
            ) from error

    async def close(self) -> None:
        """Finishes what waits, then closes the log."""
        for batcher in (self._log, self._apply, self._read):
            await batcher.drain()
        self._log_thread.shutdown()
        self._features_thread.shutdown()
        self._live.close()
