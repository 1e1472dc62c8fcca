"""The link of a serving process to the engine, which runs the model for all of them."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from serving.engine.messages import (
    Kind,
    MessageError,
    message,
    pack_questions,
    receive,
    unpack_answer,
    unpack_model,
)
from serving.metrics import Metrics
from serving.model.scoring import Asked, Scored, popular_instead, tell

ANSWER_S = 0.8  # an engine that does not answer within this is taken for gone

logger = logging.getLogger(__name__)

A = TypeVar("A")


class EngineError(RuntimeError):
    """The engine does not answer."""


class EngineLink:
    """Asks for one batch at a time. While no engine answers, asking fails at once.

    It connects again at once: what listens is the supervisor's, whether there is an engine or not,
    and the next engine says which model answers as soon as it can be asked.
    """

    def __init__(self, path: Path, types: Sequence[str], metrics: Metrics) -> None:
        """Does nothing yet: see start(). `types` are those that models predict."""
        self._path, self._types, self._metrics = path, types, metrics
        self.version, self.provider = "", ""  # of the model that answers
        self.greeted = asyncio.Event()  # set once an engine has answered for the first time
        self._writer: asyncio.StreamWriter | None = None  # where an engine answers
        self._answer: asyncio.Future[bytes] | None = None
        self._turn = asyncio.Lock()  # of whoever is answered
        self._renewals = deque[asyncio.Future[None]]()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Connects, and stays connected until close()."""
        self._task = asyncio.create_task(self._stay())

    async def close(self) -> None:
        """Lets go of the engine."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _stay(self) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(self._path)
            except OSError as error:  # nobody will ever listen there again
                logger.error("the engine cannot be reached: %s", error)
                return
            await self._attend(reader, writer)

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it ends."""
        try:
            while True:
                self._hear(*await receive(reader), writer)
        except (EOFError, OSError, MessageError) as error:
            if self._writer is not None:
                logger.error("the engine is gone; popularity answers: %s", error)
        finally:
            self._writer = None
            self._give_up("the engine is gone")
            writer.close()

    def _hear(self, kind: Kind, body: bytes, writer: asyncio.StreamWriter) -> None:
        match kind:
            case Kind.MODEL:
                self.version, self.provider = unpack_model(body)
                self._writer = writer
                self.greeted.set()
            case Kind.ANSWER if self._answer is not None and not self._answer.done():
                self._answer.set_result(body)
            case Kind.RENEWED if self._renewals:
                renewal = self._renewals.popleft()
                if not renewal.done():
                    renewal.set_result(None)
            case _:
                raise MessageError(f"{kind.name} was not asked for")

    def _give_up(self, why: str) -> None:
        for each in (self._answer, *self._renewals):
            if each is not None and not each.done():
                each.set_exception(EngineError(why))
        self._renewals.clear()

    async def score(self, asked: Sequence[Asked]) -> list[Scored]:
        """Raises EngineError, at once where there is no engine."""
        async with self._turn:
            body = await self._ask(pack_questions(asked))
        with self._metrics.policy_s.time():
            answer = unpack_answer(body)
            scored = tell(answer.found, asked, self._types)
            every = zip(scored, answer.lost, asked, strict=True)
            return [popular_instead(each) if lost else one for one, lost, each in every]

    async def _ask(self, body: bytes) -> bytes:
        if self._writer is None:
            raise EngineError("there is no engine")
        answer = self._answer = asyncio.get_running_loop().create_future()
        self._writer.write(message(Kind.ASK, body))
        return await self._in_time(answer)

    async def renew(self) -> None:
        """Lets the engine look at what has changed in the catalog; else it does so by itself."""
        if self._writer is None:
            return
        renewal = asyncio.get_running_loop().create_future()
        self._renewals.append(renewal)
        self._writer.write(message(Kind.RENEW))
        with suppress(EngineError):
            await self._in_time(renewal)

    async def _in_time(self, awaited: asyncio.Future[A]) -> A:
        try:
            async with asyncio.timeout(ANSWER_S):
                return await awaited
        except TimeoutError as error:
            self._hang_up()
            raise EngineError(f"the engine does not answer within {ANSWER_S:g} s") from error

    def _hang_up(self) -> None:
        """Connects again: whoever is frozen will not say which model answers."""
        if self._writer is not None:
            logger.error("the engine does not answer; popularity answers")
            self._writer.transport.abort()
            self._writer = None
