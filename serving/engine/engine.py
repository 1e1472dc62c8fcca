"""The engine: one process that runs the model for several that answer calls.

They keep gRPC, features and policy, and Python's lock with them: the device is not kept waiting by
what they do. What waits of all of them is one run of the model.
"""

import asyncio
import gc
import logging
import socket
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TypeVar

from features.log.contract import Log, LogError, open_log
from features.settings import Home
from features.vocabulary import Vocabulary, load_vocabulary
from serving.batching.batcher import Batcher, BatchError, in_thread
from serving.engine.messages import (
    Kind,
    MessageError,
    Part,
    message,
    pack_answer,
    pack_model,
    parts_of,
    receive,
    unpack_questions,
)
from serving.errors import QueueFullError
from serving.items.catalog import Catalog
from serving.memory import CHANGES_A_STEP
from serving.metrics import Metrics
from serving.model.champion import Champion
from serving.model.device import provider_of
from serving.model.registry import Model, Registry
from serving.model.scorer import Scorer
from serving.model.scoring import Asked, find, in_runs
from serving.settings import ServingSettings

LAST_S = 2.0  # beyond grace_s, for callers to take the last answers

logger = logging.getLogger(__name__)
T = TypeVar("T")


class Engine:
    """Answers whoever connects to a socket; see serving.engine.link."""

    def __init__(self, settings: ServingSettings, listener: socket.socket) -> None:
        """Does nothing yet: see serve(). Others may listen to the socket before and after."""
        self._settings, self._listener = settings, listener
        self._metrics = Metrics()
        self._stop = asyncio.Event()
        self._model_thread = ThreadPoolExecutor(1, "model")
        self._log_thread = ThreadPoolExecutor(1, "log")
        self._serving: tuple[Model, Catalog] | None = None
        self._writers = set[asyncio.StreamWriter]()
        self._told = b""  # to all of them
        self._tasks = set[asyncio.Task[None]]()  # of whoever is connected
        bounds = {"max_batch": settings.max_batch, "max_queue": settings.max_queue}
        self._scoring: Batcher[Sequence[Asked], list[Part | None]] = Batcher(
            in_thread(self._model_thread, self._score), **bounds
        )
        self._renewing: Batcher[None, None] = Batcher(self._renew, **bounds)

    async def serve(self, announce: Callable[[str], None]) -> None:
        """Runs until stop(); announces that it can be asked."""
        await self.startup()
        announce("")
        await self.main_loop()
        await self.shutdown()

    async def startup(self) -> None:
        """Loads the champion, if there is one; returns when it can be asked."""
        provider_of(self._settings.device)  # or says at once what it lacks
        vocabulary: Vocabulary = await asyncio.to_thread(load_vocabulary, self._settings.vocabulary)
        self._log: Log = await self._in_log_thread(partial(open_log, self._settings))
        registry = Registry(self._settings, vocabulary)
        turns = Home(self._settings.home).turns
        self._champion = Champion(registry.champion, registry.load, turns=turns)
        await self.refresh()
        gc.collect()
        gc.freeze()
        self._listener.setblocking(False)
        create_task = asyncio.get_running_loop().create_task
        self._duties = [create_task(self._accept()), create_task(self._sweep_forever())]

    async def main_loop(self) -> None:
        """Looks for a new champion now and then, until told to stop."""
        while not self._stop.is_set():
            try:
                await asyncio.wait_for(self._stop.wait(), self._settings.refresh_s)
            except TimeoutError:
                await self.refresh()

    async def refresh(self) -> None:
        """Takes a new champion into use, and says so."""
        model = await self._champion.after(self._serving[0] if self._serving else None)
        if model is None:
            self._tell()
            return
        if isinstance(model.scorer, Scorer):
            model.scorer.on_run = self._metrics.ran
        try:
            catalog = await self._catalog_for(model)
        except LogError as error:
            logger.error(
                "model %s has to wait, the catalog cannot be read: %s", model.version, error
            )
            return
        self._serving = model, catalog
        logger.info("the engine runs model %s", model.version)
        self._tell()

    def _tell(self) -> None:
        """All who ask, if it is news."""
        news = self._news()
        if news != self._told:
            self._told = news
            for writer in self._writers:
                writer.write(news)

    async def _catalog_for(self, model: Model) -> Catalog:
        """As of now; the log is read through only once."""
        if self._serving is None:
            return await self._in_log_thread(partial(self._read_catalog, model))
        aligned = self._serving[1].aligned
        catalog = await asyncio.to_thread(aligned, model.scorer.items, model.content)
        await self._follow(catalog)
        return catalog

    def _read_catalog(self, model: Model) -> Catalog:
        position = self._log.last_item_change()
        items = self._log.items()
        return Catalog(items, model.scorer.items, model.content, position=position)

    def stop(self) -> None:
        """Ends serve(), once nobody is connected any more."""
        self._stop.set()

    async def shutdown(self) -> None:
        """Answers those who are connected until they leave, though not for ever."""
        for duty in self._duties:
            duty.cancel()
        await asyncio.wait(self._duties)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._settings.grace_s + LAST_S)
        for task in self._tasks:
            task.cancel()
        for batcher in (self._scoring, self._renewing):
            await batcher.drain()
        await self._in_log_thread(self._log.close)
        self._model_thread.shutdown()
        self._log_thread.shutdown()
        gc.unfreeze()

    # ---- Those who ask -------------------------------------------------------------------------

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(self._listener)
            self._begin(self._attend(connection))

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attend(self, connection: socket.socket) -> None:
        """Answers one message after the other, until the other side has gone."""
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        writer.write(self._news())
        self._writers.add(writer)
        try:
            while True:
                kind, body = await receive(reader)
                if kind is Kind.RENEW:
                    self._begin(self._renewed(writer))
                elif kind is Kind.ASK:
                    writer.write(await self._answer(body, lane=str(id(writer))))
                else:
                    raise MessageError(f"{kind.name} is not for the engine")
        except (EOFError, OSError):
            pass
        except MessageError as error:
            logger.error("a connection is closed: %s", error)
        finally:
            self._writers.discard(writer)
            writer.close()

    def _news(self) -> bytes:
        if self._serving is None:
            return message(Kind.MODEL, pack_model("", ""))
        model = self._serving[0]
        return message(Kind.MODEL, pack_model(model.version, model.scorer.provider))

    async def _answer(self, body: bytes, *, lane: str) -> bytes:
        if self._serving is None:
            raise MessageError("no model answers yet, so nothing is to be asked")
        asked = unpack_questions(body, *self._serving)
        try:
            parts = await self._scoring.ask(asked, lane=lane)
        except (BatchError, QueueFullError):
            parts = [None] * len(asked)
        return message(Kind.ANSWER, pack_answer(parts, asked[0].model))

    def _score(self, batches: Sequence[Sequence[Asked]]) -> list[list[Part | None]]:
        """All of them together: one run, or as many as max_batch makes of it."""
        asked = [each for batch in batches for each in batch]
        parts = iter(in_runs(asked, self._find, most=self._settings.max_batch))
        return [[next(parts) for _ in batch] for batch in batches]

    def _find(self, asked: Sequence[Asked]) -> list[Part]:
        return parts_of(find(asked, metrics=self._metrics))

    # ---- The catalog ---------------------------------------------------------------------------

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(self._settings.sweep_s)
            await self._renew_soon()

    async def _renewed(self, writer: asyncio.StreamWriter) -> None:
        await self._renew_soon()
        writer.write(message(Kind.RENEWED))

    async def _renew_soon(self) -> None:
        """Those who want it meanwhile share the next look; if it fails, a later one will not."""
        with suppress(BatchError, QueueFullError):
            await self._renewing.ask(None)

    async def _renew(self, callers: Sequence[None]) -> Sequence[None]:
        if self._serving is not None:
            await self._follow(self._serving[1])
        return callers

    async def _follow(self, catalog: Catalog) -> None:
        """Learns what has changed in the log."""
        while changes := await self._in_log_thread(
            lambda: self._log.changed_items(after=catalog.position, limit=CHANGES_A_STEP)
        ):
            catalog.learn(changes)

    async def _in_log_thread(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._log_thread, function)
