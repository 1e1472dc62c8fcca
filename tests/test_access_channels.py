"""Channels: a frontend speaks for its own, in whatever it says."""

from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
import pytest
from interplay.v1.customer_service_pb2 import SetPreferencesRequest
from interplay.v1.personalization_service_pb2 import ConverseRequest, RecordInteractionsRequest

from serving.access.keys import new_key
from tests.access import caller, ending, refused, with_key, write_access
from tests.running import Running, asked, viewed


@pytest.fixture(scope="module")
def web(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose only caller speaks for the web; its key lies beside its access file."""
    path, key = tmp_path_factory.mktemp("access") / "access.yaml", new_key()
    path.with_name("key").write_text(key)
    write_access(path, caller("web-shop", "frontend", keys=[key], channels=["web"]))
    with Running(home, access=str(path)) as server:
        yield server


def key_of(server: Running) -> tuple[tuple[str, str], ...]:
    return with_key(Path(server.settings.access).with_name("key").read_text())


def test_a_frontend_decides_and_records_for_its_own_channels_only(web: Running) -> None:
    decide, record = web.personalization.DecideInteraction, web.personalization.RecordInteractions
    own, other = viewed("ada", "eggs", channel="web"), viewed("ada", "eggs", channel="app")
    before = refused(web, "channel")
    wish = SetPreferencesRequest(customer_id="ada", channel="app")
    wish.preferences.add(item_id="eggs", muted=True)
    calls: list[tuple[Any, Any]] = [
        (decide, asked(channel="web", interactions=[own])),
        (record, RecordInteractionsRequest(interactions=[own])),
        (decide, asked(channel="app")),
        (decide, asked(channel="web", interactions=[own, other])),
        (record, RecordInteractionsRequest(interactions=[own, other])),
        (web.customers.SetPreferences, wish),
    ]
    codes = [ending(*each, key_of(web)) for each in calls]
    assert codes == ["OK"] * 2 + ["PERMISSION_DENIED"] * 4
    assert refused(web, "channel") == before + 4
    with pytest.raises(grpc.RpcError) as error:
        decide(asked(channel="app"), metadata=key_of(web))
    assert error.value.details() == "web-shop may not speak for the channel 'app'"
    assert ending(decide, asked(channel=""), key_of(web)) == "INVALID_ARGUMENT"


def test_nothing_of_a_refused_call_is_recorded(web: Running, customer: str) -> None:
    both = [viewed(customer, "eggs", channel="web"), viewed(customer, "eggs", channel="app")]
    record = web.personalization.RecordInteractions
    request = RecordInteractionsRequest(interactions=both)
    assert ending(record, request, key_of(web)) == "PERMISSION_DENIED"
    answer = web.personalization.DecideInteraction(
        asked(customer_id=customer), metadata=key_of(web)
    )
    assert answer.freshness.interactions_seen == 0


@pytest.mark.parametrize("where", ["question", "interactions", "question.interactions"])
def test_a_conversation_ends_when_it_speaks_for_another_channel(web: Running, where: str) -> None:
    said: SimpleQueue[ConverseRequest | None] = SimpleQueue()
    replies = web.personalization.Converse(iter(said.get, None), metadata=key_of(web), timeout=10)
    said.put(ConverseRequest(turn=1, question=asked(channel="web")))
    assert next(replies).turn == 1
    other = viewed("ada", "eggs", channel="app")
    said.put(
        {
            "question": ConverseRequest(turn=2, question=asked(channel="app")),
            "interactions": ConverseRequest(turn=2, interactions=[other]),
            "question.interactions": ConverseRequest(
                turn=2, question=asked(channel="web", interactions=[other])
            ),
        }[where]
    )
    with pytest.raises(grpc.RpcError) as error:
        next(replies)
    said.put(None)
    assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_a_key_that_is_taken_back_ends_a_conversation_at_its_next_turn(web: Running) -> None:
    said: SimpleQueue[ConverseRequest | None] = SimpleQueue()
    replies = web.personalization.Converse(iter(said.get, None), metadata=key_of(web), timeout=10)
    said.put(ConverseRequest(turn=1, question=asked(channel="web")))
    assert next(replies).turn == 1
    path = Path(web.settings.access)
    before = path.read_bytes()
    write_access(path, caller("web-shop", "frontend", keys=[new_key()], channels=["web"]))
    web.refresh()
    said.put(ConverseRequest(turn=2))
    with pytest.raises(grpc.RpcError) as error:
        next(replies)
    said.put(None)
    path.write_bytes(before)
    web.refresh()
    assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED
