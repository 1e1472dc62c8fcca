"""Rates: so many a second, so many at once; told when to come back."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from interplay.v1.catalog_service_pb2 import GetItemRequest
from interplay.v1.personalization_service_pb2 import ConverseRequest, RecordInteractionsRequest

from serving.access.keys import new_key
from serving.access.rate import Bucket
from tests.access import caller, ending, refused, with_key, write_access
from tests.running import Running, asked, viewed

HOURLY = {"per_s": 1 / 3600, "burst": 3}


def test_a_bucket_gives_a_burst_and_then_its_rate() -> None:
    bucket = Bucket(10.0, 3)
    assert [bucket.take(100.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert bucket.take(100.0) == pytest.approx(0.1)
    assert bucket.take(100.05) == pytest.approx(0.05)
    assert bucket.take(100.1001) == 0.0
    assert bucket.take(100.1001) == pytest.approx(0.1, rel=0.01)
    assert [bucket.take(200.0) for _ in range(3)] == [0.0, 0.0, 0.0]  # never more than a burst
    assert bucket.take(200.0) > 0


def test_who_reserves_waits_in_line() -> None:
    bucket = Bucket(10.0, 1)
    waits = [bucket.reserve(100.0) for _ in range(3)]
    assert waits == pytest.approx([0.0, 0.1, 0.2])


@pytest.fixture(scope="module")
def shop(
    home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Running, str, str]]:
    path, often, free = tmp_path_factory.mktemp("access") / "access.yaml", new_key(), new_key()
    write_access(
        path,
        caller("often", "frontend", keys=[often], channels=["*"], rate=HOURLY),
        caller("free", "frontend", keys=[free], channels=["*"]),
        rates={"email": {"per_s": 1 / 3600, "burst": 2}},
    )
    with Running(home, access=str(path)) as server:
        yield server, often, free


def test_a_caller_has_its_own_rate_over_all_methods(shop: tuple[Running, str, str]) -> None:
    server, often, free = shop
    get, decide = server.catalog.GetItem, server.personalization.DecideInteraction
    request = GetItemRequest(item_id="eggs")
    calls = [ending(get, request, with_key(often)) for _ in range(2)]
    calls += [ending(decide, asked(), with_key(often)) for _ in range(2)]
    assert calls == ["OK", "OK", "OK", "RESOURCE_EXHAUSTED"]
    assert refused(server, "rate") == 1
    assert [ending(get, request, with_key(free)) for _ in range(9)] == ["OK"] * 9


def test_a_channel_has_one_rate_for_all_who_speak_for_it(shop: tuple[Running, str, str]) -> None:
    server, _, free = shop
    decide, record = server.personalization.DecideInteraction, server.personalization
    letter = RecordInteractionsRequest(interactions=[viewed("ada", "eggs", channel="email")])
    assert ending(decide, asked(channel="email"), with_key(free)) == "OK"
    assert ending(record.RecordInteractions, letter, with_key(free)) == "OK"
    with pytest.raises(grpc.RpcError) as error:
        decide(asked(channel="email"), metadata=with_key(free))
    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    trailers = {name: value for name, value in error.value.trailing_metadata()}
    assert 3_590_000 < int(trailers["grpc-retry-pushback-ms"]) <= 3_600_000
    assert error.value.details().startswith("the channel email is asked too often: try again in")
    assert ending(decide, asked(channel="web"), with_key(free)) == "OK"


def test_a_conversation_is_slowed_down_and_not_ended(shop: tuple[Running, str, str]) -> None:
    server, _, _ = shop
    path, key = Path(server.settings.access), new_key()
    before = path.read_bytes()
    rate = {"per_s": 100.0, "burst": 1}
    talks = caller("talks", "frontend", keys=[key], channels=["*"], rate=rate)
    write_access(path, talks, rates={"chat": {"per_s": 1 / 3600, "burst": 1}})
    server.refresh()
    question = ConverseRequest(turn=1, question=asked(channel="chat"))
    turns = [question, *(ConverseRequest(turn=turn) for turn in range(2, 8))]
    told = server.personalization.Converse(iter(turns), metadata=with_key(key), timeout=20)
    assert [each.turn for each in told] == [1, 2, 3, 4, 5, 6, 7]
    talk = server.personalization.Converse(iter(turns), metadata=with_key(key), timeout=20)
    with pytest.raises(grpc.RpcError) as error:
        next(talk)
    path.write_bytes(before)
    server.refresh()
    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # one conversation an hour
