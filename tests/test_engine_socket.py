"""The engine at its socket: batches that wait run together, and nobody's garbage hurts another."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from features.log.sqlite import SqliteLog
from features.record import pack
from features.settings import Home
from features.vocabulary import load_vocabulary
from serving.engine.engine import Engine
from serving.engine.link import EngineError, EngineLink
from serving.engine.messages import (
    Answer,
    Kind,
    message,
    pack_questions,
    receive,
    unpack_answer,
    unpack_model,
)
from serving.items.catalog import Catalog
from serving.metrics import Metrics
from serving.model.registry import Model, Registry
from serving.model.scoring import Asked
from serving.question import Question
from serving.settings import ServingSettings
from tests.artefacts import publish, write_artefact
from tests.interactions import interaction
from tests.policies import even_terms

VOCABULARY = load_vocabulary()


class Caller:
    """Speaks to an engine."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def ask(self, *asked: Asked) -> None:
        self.writer.write(message(Kind.ASK, pack_questions(asked)))

    async def answer(self) -> Answer:
        kind, body = await receive(self.reader)
        assert kind is Kind.ANSWER
        return unpack_answer(body)

    async def greeting(self) -> tuple[str, str]:
        kind, body = await receive(self.reader)
        assert kind is Kind.MODEL
        return unpack_model(body)


class Standing:
    """An engine in this process, and the socket that it listens to."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self.refresh, self.path = engine.refresh, path
        self.writers: list[asyncio.StreamWriter] = []

    async def call(self) -> Caller:
        reader, writer = await asyncio.open_unix_connection(self.path)
        self.writers.append(writer)
        return Caller(reader, writer)

    async def hang_up(self) -> None:
        for each in self.writers:
            each.close()
            with suppress(ConnectionError):
                await each.wait_closed()

    async def greeted(self) -> Caller:
        caller = await self.call()
        assert await caller.greeting() == ("1", "CPUExecutionProvider")
        return caller


@asynccontextmanager
async def standing(home: Path, path: Path, **changes: object) -> AsyncIterator[Standing]:
    at_leisure = {"refresh_s": 3600.0, "sweep_s": 3600.0, "grace_s": 0.0}
    settings = ServingSettings(**({"home": home} | at_leisure | changes))  # type: ignore[arg-type]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        engine = Engine(settings, listener)
        await engine.startup()
        callers = Standing(engine, path)
        try:
            yield callers
        finally:
            await callers.hang_up()
            await engine.shutdown()


@pytest.fixture(scope="module")
def model(home: Path) -> Model:
    registry = Registry(ServingSettings(home=home), VOCABULARY)
    return registry.outline("1", "CPUExecutionProvider")


def asked(model: Model, seen: str = "eggs", channel: str = "web", k: int = 2) -> Asked:
    history = pack(interaction(1, item_id=seen), VOCABULARY)
    question = Question(customer_key="", channel=channel, k=k)
    terms, catalog = even_terms(), Catalog((), model.scorer.items)
    return Asked(model, catalog, question, history, 1, terms.weight_T, question.k, terms)


def test_what_waits_of_several_callers_is_one_run(home: Path, model: Model, tmp_path: Path) -> None:
    async def call() -> tuple[Answer, Answer]:
        async with standing(home, tmp_path / "engine") as engine:
            first, second = await engine.greeted(), await engine.greeted()
            first.ask(asked(model, "eggs"), asked(model, "dates"))
            second.ask(asked(model, "flour", k=1))
            return await first.answer(), await second.answer()

    first, second = asyncio.run(call())
    assert first.found.best.item_ids == ["eggs", "apple", "dates", "apple"]
    assert second.found.best.item_ids == ["flour"]
    assert (first.found.batch_size, second.found.batch_size) == (3, 3)
    assert (first.found.version, first.found.max_length) == ("1", 8)


def test_no_run_is_larger_than_a_batch_may_be(home: Path, model: Model, tmp_path: Path) -> None:
    async def call() -> Answer:
        async with standing(home, tmp_path / "engine", max_batch=2) as engine:
            caller = await engine.greeted()
            caller.ask(*[asked(model)] * 5)
            return await caller.answer()

    answer = asyncio.run(call())
    assert answer.found.best.item_ids == ["eggs", "apple"] * 5
    assert answer.found.batch_size == 2


def test_one_culprit_goes_without_and_nobody_else(home: Path, model: Model, tmp_path: Path) -> None:
    async def call() -> tuple[Answer, Answer, Answer]:
        async with standing(home, tmp_path / "engine") as engine:
            first, second = await engine.greeted(), await engine.greeted()
            first.ask(asked(model), asked(model, channel="kiosk"), asked(model, "dates"))
            second.ask(asked(model))
            answers = await first.answer(), await second.answer()
            first.ask(asked(model, channel="kiosk"))
            return *answers, await first.answer()

    first, second, alone = asyncio.run(call())
    assert (first.lost, second.lost, alone.lost) == ([False, True, False], [False], [True])
    assert first.found.best.item_ids == ["eggs", "apple", "dates", "apple"]


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        message(Kind.ASK, b"garbage"),
        message(Kind.ANSWER),
        message(Kind.ASK, b"x" * 100)[:50],  # and then it hangs up
    ],
)
def test_garbage_ends_its_own_connection_and_no_other(
    home: Path, model: Model, tmp_path: Path, garbage: bytes
) -> None:
    async def call() -> tuple[bytes, Answer]:
        async with standing(home, tmp_path / "engine") as engine:
            caller, other = await engine.greeted(), await engine.greeted()
            caller.writer.write(garbage)
            caller.writer.write_eof()
            end = await caller.reader.read()
            other.ask(asked(model))
            return end, await other.answer()

    end, answer = asyncio.run(call())
    assert end == b""
    assert answer.found.best.item_ids == ["eggs", "apple"]


def test_who_leaves_without_waiting_for_the_answer_hurts_nobody(
    home: Path, model: Model, tmp_path: Path
) -> None:
    async def call() -> Answer:
        async with standing(home, tmp_path / "engine") as engine:
            caller, other = await engine.greeted(), await engine.greeted()
            caller.ask(asked(model))
            caller.writer.transport.abort()
            other.ask(asked(model))
            return await other.answer()

    assert asyncio.run(call()).found.best.item_ids == ["eggs", "apple"]


def test_there_may_be_no_model_yet(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.path.mkdir()
    SqliteLog(home.log).close()

    async def call() -> tuple[tuple[str, str], tuple[str, str]]:
        async with standing(home.path, tmp_path / "engine") as engine:
            caller = await engine.call()
            before = await caller.greeting()
            publish(home, write_artefact(tmp_path / "model"))
            await engine.refresh()
            return before, await caller.greeting()

    assert asyncio.run(call()) == (("", ""), ("1", "CPUExecutionProvider"))


def test_without_an_engine_asking_fails_at_once(model: Model, tmp_path: Path) -> None:
    async def call() -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(tmp_path / "engine"))
            listener.listen()  # as the supervisor does: a connection waits for the next engine
            link = EngineLink(tmp_path / "engine", VOCABULARY.predicted, Metrics())
            link.start()
            with pytest.raises(EngineError, match="there is no engine"):
                await link.score([asked(model)])
            await link.renew()  # is not needed: the next engine reads the whole catalog
            await link.close()

    asyncio.run(call())
