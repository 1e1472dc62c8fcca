"""The engine: it answers as if each process ran the model, and whoever dies is soon replaced."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import grpc
import pytest
from interplay.v1.catalog_service_pb2 import DeleteItemsRequest, Item, UpsertItemsRequest
from interplay.v1.catalog_service_pb2_grpc import CatalogServiceStub
from interplay.v1.model_service_pb2 import GetModelRequest
from interplay.v1.model_service_pb2_grpc import ModelServiceStub
from interplay.v1.personalization_service_pb2 import (
    DEGRADATION_LEVEL_NONE,
    DEGRADATION_LEVEL_POPULARITY,
    Boost,
    DecideInteractionRequest,
    DecideInteractionResponse,
)
from interplay.v1.personalization_service_pb2_grpc import PersonalizationServiceStub

from features.rollout import CANARY
from features.settings import Home
from tests.artefacts import ITEM_IDS, crown, publish, stand, unalias, write_artefact
from tests.programs import ANSWERS, Program, program
from tests.running import Running, add_items, asked, offered, record, viewed

CONNECTIONS = 8  # so many that they hardly all end in one process
CALL_S = 10.0  # no call may take that long
FRESH = ("grapes", "honey")


class Served:
    """Two processes and an engine, and connections to them."""

    def __init__(self, program: Program, target: str, engine: int, others: list[int]) -> None:
        self.program, self.target = program, target
        self.engine, self.others = engine, others  # as the processes are numbered
        self.channels = [self.connect() for _ in range(CONNECTIONS)]

    def connect(self) -> grpc.Channel:
        return grpc.insecure_channel(self.target, [("grpc.use_local_subchannel_pool", 1)])

    def decide(self, request: DecideInteractionRequest) -> list[DecideInteractionResponse]:
        """Asks on every connection, at once."""
        with ThreadPoolExecutor(CONNECTIONS) as callers:
            return list(callers.map(lambda channel: ask(channel, request), self.channels))

    def levels(self) -> set[int]:
        return {level(each) for each in self.decide(asked())}


def ask(channel: grpc.Channel, request: DecideInteractionRequest) -> DecideInteractionResponse:
    return PersonalizationServiceStub(channel).DecideInteraction(request, timeout=CALL_S)


def level(reply: DecideInteractionResponse) -> int:
    return int(reply.freshness.degradation_level)


def engine_of(program: Program, version: str) -> int:
    return int(program.line(rf" (\d+) INFO the engine runs model {version}\n")[1])


@pytest.fixture(scope="module")
def home(home: Path) -> Path:
    add_items(home, *FRESH)
    return home


@pytest.fixture(scope="module")
def served(home: Path) -> Iterator[Served]:
    with serving(home) as served:
        yield served


@contextmanager
def serving(home: Path) -> Iterator[Served]:
    sizes = ("--engine", "--processes", "2", "--port", "0", "--read-ms", "10000")
    often = ("--refresh-s", "0.1", "--sweep-s", "0.1")
    consent = ("--assumed-consent", "personalization, measurement")
    with program("serving", "--home", str(home), *sizes, *often, *consent) as started:
        engine = engine_of(started, "1")
        others = [int(started.line(ANSWERS)[1]) for _ in range(3)]
        others.remove(engine)
        target = started.line("SERVING on (.*): model 1 of interplay on CPUE.*, 3 processes")[1]
        yield Served(started, target, engine, others)


BOOSTS = [Boost(item_id="honey", factor=9), Boost(filter='category == ""', factor=2)]
QUESTIONS: dict[str, dict[str, object]] = {
    "plain": {},
    "few": {"k": 2},
    "fresh": {"k": 20},
    "candidates": {"candidate_item_ids": ["honey", "dates", "unheard-of", "bread"]},
    "excluded": {"excluded_item_ids": ["apple", "eggs"], "k": 3},
    "filtered": {"filter": '!(brand == "Alpina") && category == ""'},
    "favoured": {"pinned_item_ids": ["flour"], "boosts": BOOSTS, "k": 3},
    "nothing": {"filter": 'category == "shoes"'},
    "along": {"interactions": [viewed("", "flour", interaction_id="along")]},
    "kiosk": {"channel": "kiosk"},  # for which the model cannot run
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_answers_are_those_of_a_process_that_runs_the_model(
    served: Served, home: Path, question: str
) -> None:
    request = asked(customer_id=f"of-{question}", **QUESTIONS[question])
    with Running(home) as alone:
        record(alone, viewed(request.customer_id, "eggs"), viewed(request.customer_id, "honey"))
        expected = ask(alone.channel, request)
        replies = served.decide(request)
    assert question != "kiosk" or level(expected) == DEGRADATION_LEVEL_POPULARITY
    for each in (expected, *replies):
        each.ClearField("decision_id")
        each.freshness.ClearField("staleness")  # what others are just writing is counted in it
    assert replies == [expected] * CONNECTIONS


def test_what_is_written_to_the_catalog_competes_everywhere_at_once(served: Served) -> None:
    catalog = CatalogServiceStub(served.channels[0])
    catalog.UpsertItems(UpsertItemsRequest(items=[Item(item_id="kiwis", category="fruit")]))
    request = asked(filter='category == "fruit"')
    assert [offered(each) for each in served.decide(request)] == [["kiwis"]] * CONNECTIONS
    catalog.DeleteItems(DeleteItemsRequest(item_ids=["kiwis"]))
    assert [offered(each) for each in served.decide(request)] == [[]] * CONNECTIONS


def test_an_engine_that_is_killed_is_replaced_and_popularity_answers_meanwhile(
    served: Served,
) -> None:
    ended = Event()

    def call(channel: grpc.Channel) -> list[int]:
        """Every call is answered: one that fails, or hangs, raises."""
        levels = []
        while not ended.is_set():
            levels.append(level(ask(channel, asked())))
        return levels

    with ThreadPoolExecutor(CONNECTIONS) as callers:
        calling = callers.map(call, served.channels)
        try:
            os.kill(served.engine, signal.SIGKILL)
            served.engine = engine_of(served.program, "1")
            served.program.line(f"process {served.engine} answers from now on")
        finally:
            ended.set()
        levels = {each for levels in calling for each in levels}
    assert levels == {DEGRADATION_LEVEL_NONE, DEGRADATION_LEVEL_POPULARITY}
    until(served, DEGRADATION_LEVEL_NONE)


def until(served: Served, only: int) -> None:
    while served.levels() != {only}:
        pass


def test_an_engine_that_is_frozen_is_not_waited_for(served: Served) -> None:
    until(served, DEGRADATION_LEVEL_NONE)
    os.kill(served.engine, signal.SIGSTOP)
    until(served, DEGRADATION_LEVEL_POPULARITY)
    os.kill(served.engine, signal.SIGCONT)
    until(served, DEGRADATION_LEVEL_NONE)


def test_a_process_that_is_killed_does_not_hurt_the_engine(served: Served) -> None:
    os.kill(served.others.pop(), signal.SIGKILL)
    served.others.append(int(served.program.line(ANSWERS)[1]))
    with served.connect() as channel:
        assert level(ask(channel, asked())) == DEGRADATION_LEVEL_NONE


def test_all_follow_the_engine_to_another_champion_and_back(
    served: Served, home: Path, tmp_path: Path
) -> None:
    publish(Home(home), write_artefact(tmp_path / "second", item_ids=ITEM_IDS[::-1]))
    seen = follow(served, "2")
    crown(Home(home), "1")
    # Each answer is of one model, item and all.
    assert seen | follow(served, "1") == {("1", "apple"), ("2", "flour")}


def follow(served: Served, version: str) -> set[tuple[str, str]]:
    """Asks until this version answers everywhere, and says so; gives what was answered."""
    seen, latest = set[tuple[str, str]](), set[tuple[str, str]]()
    while {each for each, _ in latest} != {version}:
        replies = served.decide(asked(k=1))
        latest = {(each.model_version, offered(each)[0]) for each in replies}
        seen |= latest
    for channel in served.channels:
        models = ModelServiceStub(channel)
        while models.GetModel(GetModelRequest()).model.version != version:
            pass
        assert models.GetModel(GetModelRequest()).model.provider == "CPUExecutionProvider"
    return seen


def test_a_canary_is_not_taken_and_that_is_said(served: Served, home: Path) -> None:
    stand(Home(home), CANARY, "2")
    served.program.line("WARNING model 2, the canary, is not taken into use: with --engine")
    assert {each.model_version for each in served.decide(asked())} == {"1"}
    unalias(Home(home), CANARY)


def test_the_end_finishes_what_is_in_flight(home: Path) -> None:
    def call(channel: grpc.Channel) -> tuple[set[int], grpc.StatusCode]:
        levels = set()
        try:
            while True:
                levels.add(level(ask(channel, asked())))
        except grpc.RpcError as refused:
            return levels, refused.code()

    with serving(home) as served, ThreadPoolExecutor(CONNECTIONS) as callers:
        assert served.levels() == {DEGRADATION_LEVEL_NONE}
        calling = callers.map(call, served.channels)
        os.killpg(served.program.process.pid, signal.SIGTERM)  # the engine too
        ends = list(calling)
        told = served.program.rest()
    # gRPC cancels what arrives in the moment that it ends.
    assert {code for _, code in ends} <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    assert set.union(*(levels for levels, _ in ends)) <= {DEGRADATION_LEVEL_NONE}
    assert "ERROR" not in told
    assert served.program.process.returncode == 0
