"""The memory: the live features and the catalog as the event loop sees them.

Two threads do the blocking work: one writes the log, the other applies and reads. Concurrent
calls share one durable transaction, one apply and one read.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from features.content import Content
from features.encoding import ItemIndex
from features.interaction import Interaction, Violation
from features.item import Item
from features.live import LiveFeatures
from features.log.contract import Appended, Heard, LogError, TooLargeError, Wanted
from features.online.contract import OnlineError
from features.online.store import Debit, Known
from features.privacy.erasure import Erasures
from features.vocabulary import Vocabulary
from serving.batching.batcher import Batcher, BatchError, in_thread
from serving.errors import InvalidError, QueueFullError, UnavailableError
from serving.items.catalog import Catalog
from serving.metrics import Metrics
from serving.settings import ServingSettings

APPLY_S = 1.0  # after that a write is acknowledged as pending
CHANGES_A_STEP = 500

logger = logging.getLogger(__name__)
T = TypeVar("T")


async def _nobody() -> None: ...


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read of one customer."""

    known: Known
    whole: bool  # whether the online store held all that it should


class Memory:
    """What is known of customers and items."""

    def __init__(self, live: LiveFeatures, settings: ServingSettings, metrics: Metrics) -> None:
        """Takes over the open live features; close() closes them."""
        self.vocabulary: Vocabulary = live.vocabulary
        self.max_records = settings.max_records
        self.catalog = Catalog(())
        self.beside: tuple[Catalog, ...] = ()  # of models beside the one that answers
        self.on_items: Callable[[], Awaitable[None]] = _nobody
        """Told whenever items were written or deleted here."""
        self._live = live
        live.on_visible = metrics.visible_s.observe
        metrics.channels = self.vocabulary.channels
        self._features_s = metrics.features_s
        self._log_thread = ThreadPoolExecutor(1, "log")
        self._features_thread = ThreadPoolExecutor(1, "features")
        bounds = {"max_batch": settings.max_batch, "max_queue": settings.max_queue}
        self._log: Batcher[Sequence[Interaction], Appended | TooLargeError] = Batcher(
            in_thread(self._log_thread, self._log_all), **bounds
        )
        self._sift: Batcher[Sequence[Interaction], list[Interaction]] = Batcher(
            in_thread(self._features_thread, live.without_held), **bounds
        )
        self._apply: Batcher[None, bool] = Batcher(
            in_thread(self._features_thread, self._apply_all), **bounds
        )
        self._read: Batcher[str, Seen] = Batcher(
            in_thread(self._features_thread, self._read_all), **bounds
        )
        self._read_s = settings.read_ms / 1000
        self._sweep_s = settings.sweep_s
        self._sweeper: asyncio.Task[None] | None = None

    async def log(
        self, interactions: Sequence[Interaction], *, deadline: float | None = None
    ) -> Appended:
        """Makes checked interactions durable; raises UnavailableError or InvalidError."""
        try:
            answer = await self._log.ask(await self._new_among(interactions), deadline=deadline)
        except BatchError as failure:
            raise UnavailableError(
                "the log cannot be written; nothing was kept: try again"
            ) from failure
        if isinstance(answer, TooLargeError):
            rule = f"must be {answer.limit_bytes:,} bytes at most, as logged: send fewer at once"
            size = f"{answer.size_bytes:,} bytes"
            raise InvalidError([Violation("interactions", size, rule)]) from answer
        return Appended(answer.accepted_count, len(interactions) - answer.accepted_count)

    async def _new_among(self, interactions: Sequence[Interaction]) -> Sequence[Interaction]:
        """Without what is held already; all of them where nobody can tell."""
        if self._live.log_knows_ids:
            return interactions
        try:
            async with asyncio.timeout(self._read_s):
                return await self._sift.ask(interactions)
        except (BatchError, QueueFullError, TimeoutError):
            return interactions

    def _log_all(
        self, calls: Sequence[Sequence[Interaction]]
    ) -> Sequence[Appended | TooLargeError]:
        """One call that is too large does not spoil the others."""
        try:
            return self._live.log(calls)
        except TooLargeError as error:
            if len(calls) == 1:
                return [error]
            return [answer for each in calls for answer in self._log_all([each])]

    async def apply(self, *, within_s: float = APPLY_S) -> bool:
        """Makes what was logged count in reads; whether it does. If not, a sweep will."""
        try:
            async with asyncio.timeout(within_s):
                return await self._apply.ask(None)
        except (BatchError, QueueFullError, TimeoutError):
            return False

    def _apply_all(self, callers: Sequence[None]) -> Sequence[bool]:
        return [self._live.apply()] * len(callers)

    async def read(self, customer_key: str, *, deadline: float | None = None) -> Seen:
        """What is known of a customer; raises BatchError, also where that takes too long."""
        try:
            async with asyncio.timeout(self._read_s):
                return await self._read.ask(customer_key, deadline=deadline)
        except TimeoutError as error:
            raise BatchError(f"no answer within {self._read_s * 1000:g} ms") from error

    async def read_all(
        self, customer_keys: Sequence[str], *, ledgers: bool = False
    ) -> Sequence[Seen]:
        """What is known of customers, in one read; raises UnavailableError, also for slowness."""
        read = partial(self._read_all, customer_keys, ledgers=ledgers)
        return await self._in_time(read)

    async def spend(self, debits: Sequence[Debit]) -> Sequence[bytes | None]:
        """As OnlineFeatures.spend; raises UnavailableError, also for slowness: then who knows."""
        return await self._in_time(partial(self._live.online.spend, debits))

    async def _in_time(self, function: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(self._read_s):
                return await self._in_features_thread(function)
        except TimeoutError as error:
            raise UnavailableError("the online store is slow: try again") from error

    def _read_all(self, customer_keys: Sequence[str], *, ledgers: bool = False) -> Sequence[Seen]:
        with self._features_s.time():
            reading = self._live.read(customer_keys, ledgers=ledgers)
        return [Seen(known, reading.whole) for known in reading.customers]

    @property
    def read_s(self) -> float:
        """How long a read may take."""
        return self._read_s

    async def start(self) -> None:
        """Reads once, as the first time takes longer, and sweeps from now on."""
        try:
            await self._read.ask("")
        except BatchError:
            logger.warning("the online store cannot be read; answers go without features")
        self._sweeper = asyncio.create_task(self._sweep_forever())

    async def _sweep_forever(self) -> None:
        failing = False
        while True:
            await asyncio.sleep(self._sweep_s)
            try:
                await self.sweep()
                failing = False
            except Exception as error:  # the next sweep must run
                if not failing:  # one line for an outage
                    logger.warning("what was left behind cannot be applied: %s", error)
                failing = True

    async def sweep(self) -> None:
        """Learns what others have changed, and applies what was left behind; see features.live."""
        for catalog in (self.catalog, *self.beside):
            await self._follow(catalog)
        await self.apply()
        more = True
        while more:
            lacking = await self._in_features_thread(self._live.lacking)
            fetched = await self._in_log_thread(partial(self._live.fetch, lacking))
            more = await self._in_features_thread(partial(self._live.merge, *fetched))

    async def _follow(self, catalog: Catalog) -> None:
        """Lets a catalog learn what has changed in the log."""
        limit = CHANGES_A_STEP
        while changes := await self._in_log_thread(
            partial(self._live.changed_items, after=catalog.position, limit=limit)
        ):
            catalog.learn(changes)

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
            lambda: self._live.online.read_known([customer_key], ledgers=True)[0]
        )

    async def _in_features_thread(self, function: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._features_thread, function)
        except OnlineError as error:
            raise UnavailableError("the online store does not answer: try again") from error

    async def upsert_items(self, items: Sequence[Item]) -> None:
        """Writes checked items durably; they count from now on."""
        await self._in_log_thread(lambda: self._live.upsert_items(items))
        for catalog in (self.catalog, *self.beside):
            catalog.put(items)
        await self.on_items()
        await self.apply()

    async def delete_items(self, item_ids: Sequence[str]) -> int:
        """Deletes items durably and gives how many there were; they count no more."""
        held = await self._in_log_thread(lambda: self._live.delete_items(item_ids))
        for catalog in (self.catalog, *self.beside):
            catalog.remove(held)
        await self.on_items()
        await self.apply()
        return len(held)

    async def get_item(self, item_id: str) -> Item | None:
        """One item of the catalog, from the online store; raises UnavailableError."""
        return await self._in_features_thread(partial(self._live.get_item, item_id))

    async def listen(self, wanted: Wanted, heard: Heard) -> Callable[[], None]:
        """Tells of what anybody records from now on, see Log.listen; raises UnavailableError."""
        return await self._in_log_thread(partial(self._live.listen, wanted, heard))

    async def read_catalog(self) -> None:
        """Reads the whole catalog as it stands in the log: once, at the start."""
        self.catalog = await self._in_log_thread(self._read_catalog)

    def _read_catalog(self) -> Catalog:
        position = self._live.last_item_change()
        return Catalog(self._live.items(), position=position)

    async def aligned(self, model_items: ItemIndex, content: Content | None) -> Catalog:
        """The catalog for another model, as of now: to be used before anything else is awaited.

        Neither calls nor writes wait for it; what is written meanwhile is read from the log.
        """
        catalog = await asyncio.to_thread(self.catalog.aligned, model_items, content)
        await self._follow(catalog)
        return catalog

    async def _in_log_thread(self, function: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._log_thread, function)
        except LogError as error:
            raise UnavailableError(
                "the log cannot be written; nothing was kept: try again"
            ) from error

    async def close(self) -> None:
        """Finishes what waits, then closes the log."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])
        for batcher in (self._sift, self._log, self._apply, self._read):
            await batcher.drain()
        self._log_thread.shutdown()
        self._features_thread.shutdown()
        self._live.close()
