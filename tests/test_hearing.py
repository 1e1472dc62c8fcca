"""Conversations hear at once what others record of their customer: here, elsewhere, anywhere."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from interplay.v1.personalization_service_pb2 import RecordInteractionsRequest
from interplay.v1.personalization_service_pb2_grpc import PersonalizationServiceStub

from serving.hearing import MOST_HEARD, MOST_OWN, Ear
from tests.interactions import interaction
from tests.nats_server import NatsServer
from tests.programs import program
from tests.redis_server import RedisServer
from tests.running import Running, offered, record, viewed
from tests.talking import Talk


def told(reply) -> list[tuple[str, str, str]]:  # type: ignore[no-untyped-def]
    return [(each.type, each.channel, each.item_id) for each in reply.heard]


def test_what_another_channel_records_makes_the_server_speak(
    running: Running, customer: str
) -> None:
    with Talk(running.personalization) as talk:
        talk.say(1, customer_id=customer, k=1, channel="app")
        assert offered(talk.hear().decision) == ["apple"]
        record(running, viewed(f"other-{customer}", "eggs"))
        record(running, viewed(customer, "dates", channel="contact-center", type="complaint"))
        news = talk.hear()
        assert (news.turn, told(news)) == (0, [("complaint", "contact-center", "dates")])
        assert offered(news.decision) == ["dates"]
        talk.say(2, viewed("", "dates", channel="app"))
        assert talk.hear().turn == 2  # what it says itself is no news to it


def test_who_is_known_by_two_ids_is_heard_of_by_both(running: Running, customer: str) -> None:
    with Talk(running.personalization) as talk:
        talk.say(1, customer_id=customer, anonymous_id=f"cookie-{customer}")
        talk.hear()
        record(running, viewed("", "eggs", anonymous_id=f"cookie-{customer}"))
        assert told(talk.hear()) == [("view", "app", "eggs")]


def test_another_process_on_the_same_home_is_heard(home: Path, customer: str) -> None:
    with ExitStack() as stack:
        here = stack.enter_context(Running(home))
        there = stack.enter_context(program("serving", "--home", str(home), "--port", "0"))
        address = there.line("SERVING on ([^ ]*):").group(1)
        channel = stack.enter_context(grpc.insecure_channel(address.rstrip(":")))
        talk = stack.enter_context(Talk(here.personalization))
        talk.say(1, customer_id=customer, k=1)
        talk.hear()
        recorded = RecordInteractionsRequest(interactions=[viewed(customer, "flour")])
        PersonalizationServiceStub(channel).RecordInteractions(recorded)
        news = talk.hear()
        assert (told(news), offered(news.decision)) == ([("view", "app", "flour")], ["flour"])
        there.process.send_signal(signal.SIGTERM)
        there.rest()


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[dict[str, str]]:
    with NatsServer(tmp_path / "nats") as nats, RedisServer(tmp_path) as redis:
        yield {"log_url": nats.url, "online_url": redis.url}


def test_another_replica_is_heard(home: Path, shared: dict[str, str], customer: str) -> None:
    with ExitStack() as stack:
        here, there = (stack.enter_context(Running(home, **shared)) for _ in range(2))
        talk = stack.enter_context(Talk(here.personalization))
        talk.say(1, customer_id=customer, k=1)
        talk.hear()
        record(there, viewed(customer, "flour"))
        assert told(talk.hear()) == [("view", "app", "flour")]
        talk.say(2, viewed("", "eggs"), viewed("", "eggs"))
        assert talk.seen() == 3


def test_only_the_newest_news_are_kept() -> None:
    ear = Ear()
    for number in range(25):
        ear.tell(interaction(number))
    assert [each.item_id for each in ear.take()] == [f"i{at}" for at in range(15, 25)]
    assert not ear.woken.is_set()
    assert ear.take() == ()
    assert MOST_HEARD == 10


def test_the_own_word_and_an_offer_that_was_shown_are_no_news() -> None:
    ear = Ear()
    ear.expect([interaction(number) for number in range(MOST_OWN + 1)])
    ear.tell(interaction(1))
    ear.tell(interaction(5000, type="impression", initiator="COMPANY", decision_id="d1"))
    assert not ear.woken.is_set()
    ear.tell(interaction(0))  # too long ago to be remembered as our own
    ear.tell(interaction(5001, type="service-reply", initiator="COMPANY"))
    assert [each.interaction_id for each in ear.take()] == ["0", "5001"]
