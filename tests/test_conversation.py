"""A conversation: each turn is recorded and answered, what is wrong is said, it ends in order."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from interplay.v1.customer_service_pb2 import GetCustomerRequest
from interplay.v1.personalization_service_pb2 import ConverseRequest, Ending

from tests.running import Running, asked, offered, viewed
from tests.talking import Talk

CONVERSE = "/interplay.v1.PersonalizationService/Converse"


def count(running: Running, customer: str) -> int:
    request = GetCustomerRequest(customer_id=customer)
    return running.customers.GetCustomer(request).interaction_count


def test_each_turn_is_recorded_and_counts_in_its_answer(running: Running, customer: str) -> None:
    with Talk(running.personalization) as talk:
        talk.say(7, customer_id=customer, k=2)
        first = talk.hear()
        assert (first.turn, first.decision.freshness.interactions_seen) == (7, 0)
        assert offered(first.decision) == ["apple", "bread"]
        talk.say(8, viewed("", "flour"))
        second = talk.hear()
        assert (second.turn, offered(second.decision)) == (8, ["flour", "apple"])
        assert count(running, customer) == 1
        talk.say(9, viewed("", "eggs"), viewed("", "eggs"), customer_id=customer, k=1)
        assert offered(talk.hear().decision) == ["eggs"]
        talk.hang_up()
        assert talk.end() is grpc.StatusCode.OK
    assert count(running, customer) == 3


def test_what_is_wrong_is_told_and_the_conversation_goes_on(
    running: Running, customer: str
) -> None:
    with Talk(running.personalization) as talk:
        talk.say(1, customer_id=customer)
        talk.hear()
        talk.say(2, viewed("", "apple", type="dance"), viewed("", "apple"))
        refused = talk.hear()
        assert (refused.turn, refused.refusal.reason) == (2, "INVALID_FIELD")
        (broken,) = refused.refusal.violations
        assert (broken.field, broken.value) == ("interactions[0].type", "'dance'")
        talk.say(3, customer_id="somebody-else")
        assert talk.hear().refusal.message.startswith("question.customer_id is 'somebody-else': ")
        talk.say(4, viewed("", "apple"))
        assert talk.seen() == 1


def test_a_conversation_that_begins_wrong_ends_at_once(running: Running) -> None:
    with Talk(running.personalization) as talk:
        talk.say(1, viewed("ada", "apple"))
        assert talk.end() is grpc.StatusCode.INVALID_ARGUMENT
        assert talk.call.details().startswith("customer_id is '': customer_id or anonymous_id")


def test_what_is_no_message_ends_it(running: Running, customer: str) -> None:
    question = ConverseRequest(question=asked(customer_id=customer)).SerializeToString()
    replies = running.channel.stream_stream(CONVERSE)(iter([question, b"\xff"]), timeout=60)
    next(replies)
    with pytest.raises(grpc.RpcError) as ended:
        next(replies)
    assert ended.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "must be a serialized interplay.v1.ConverseRequest" in (ended.value.details() or "")


@pytest.fixture
def narrow(home: Path) -> Iterator[Running]:
    """A server for one conversation, which soon ends by itself."""
    with Running(home, conversations=1, idle_s=0.2, grace_s=3600.0) as server:
        yield server


def test_there_is_a_limit_and_an_end_to_silence(narrow: Running, customer: str) -> None:
    with Talk(narrow.personalization) as first:
        first.say(1, customer_id=customer)
        first.hear()
        with Talk(narrow.personalization) as second:
            second.say(1, customer_id=customer)
            assert second.end() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert second.call.details() == "1 conversations are open: try again later"
        assert first.hear().ending.reason == Ending.REASON_IDLE
        assert first.end() is grpc.StatusCode.OK
    with Talk(narrow.personalization) as third:
        third.say(1, customer_id=customer)
        assert third.hear().turn == 1


def admitted(server: Running, customer: str) -> Talk:
    """The next conversation, once the server has noticed that the last one is over."""
    while True:
        talk = Talk(server.personalization)
        talk.say(1, customer_id=customer)
        try:
            talk.hear()
        except grpc.RpcError as full:
            assert full.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        else:
            return talk


def test_a_deadline_and_a_cancelled_call_end_it(narrow: Running, customer: str) -> None:
    with Talk(narrow.personalization, timeout_s=0.1) as late:
        late.say(1, customer_id=customer)
        assert late.end() is grpc.StatusCode.DEADLINE_EXCEEDED
    with admitted(narrow, customer) as talk:
        talk.call.cancel()
        assert talk.end() is grpc.StatusCode.CANCELLED
    with admitted(narrow, customer) as talk:
        talk.hang_up()
        assert talk.end() is grpc.StatusCode.OK


def test_a_server_that_ends_says_so(home: Path, customer: str) -> None:
    with Running(home, grace_s=3600.0) as server, Talk(server.personalization) as talk:
        talk.say(1, customer_id=customer)
        talk.hear()
        server.shut_down()
        assert talk.hear().ending.reason == Ending.REASON_DRAINING
        assert talk.end() is grpc.StatusCode.UNAVAILABLE
        assert talk.call.details() == "the server ends: converse again, with another"
