"""The ladder of degraded answers: each rung with its real fault, labelled and counted."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from interplay.v1.personalization_service_pb2 import (
    DEGRADATION_LEVEL_INCOMPLETE_FEATURES,
    DEGRADATION_LEVEL_NONE,
    DEGRADATION_LEVEL_POPULARITY,
    DEGRADATION_LEVEL_WITHOUT_FEATURES,
    DecideInteractionResponse,
)

from serving.errors import DETAILS
from tests.redis_server import RedisServer, SlowLine
from tests.running import Running, asked, decide, offered, record, viewed

CALLS = 200


def decisions(running: Running, degradation: str) -> float:
    labels = {"degradation": degradation, "action": "OFFER"}
    counted = running.server.metrics.registry
    return counted.get_sample_value("interplay_decisions_total", labels) or 0


def level(reply: DecideInteractionResponse) -> int:
    return int(reply.freshness.degradation_level)


def test_a_store_that_was_emptied_is_told_until_the_log_has_filled_it(
    home: Path, redis: RedisServer, customer: str
) -> None:
    with Running(home, online_url=redis.url) as running:
        record(running, viewed(customer, "eggs"))
        assert level(decide(running, customer)) == DEGRADATION_LEVEL_NONE
        redis.kill()
        redis.start()
        reply = decide(running, customer, interactions=[viewed("", "dates")])
        assert level(reply) == DEGRADATION_LEVEL_INCOMPLETE_FEATURES
        assert decisions(running, "INCOMPLETE_FEATURES") == 1
        running.sweep()
        reply = decide(running, customer)
        assert level(reply) == DEGRADATION_LEVEL_NONE
        assert reply.freshness.interactions_seen == 2
        assert decisions(running, "NONE") == 2


@pytest.fixture
def line(redis: RedisServer) -> Iterator[SlowLine]:
    """A way to Redis that counts what is asked of it."""
    line = SlowLine(redis.port)
    yield line
    line.close()


def test_a_frozen_store_is_asked_a_few_times_and_then_left_alone(
    home: Path, redis: RedisServer, line: SlowLine, customer: str
) -> None:
    with Running(home, online_url=line.url, read_ms=50.0) as running:
        record(running, viewed(customer, "eggs"))
        redis.pause()
        before = line.question_count
        for number in range(CALLS):
            reply = decide(running, f"{customer}-{number}", k=1)
            assert level(reply) == DEGRADATION_LEVEL_WITHOUT_FEATURES
            assert offered(reply) == ["apple"]
        assert 0 < line.question_count - before < CALLS / 2  # once a second after the third
        assert decisions(running, "WITHOUT_FEATURES") == CALLS
        redis.resume()


def test_what_comes_along_counts_without_features_too(
    home: Path, redis: RedisServer, customer: str
) -> None:
    with Running(home, online_url=redis.plain_url, read_ms=50.0) as running:
        redis.pause()
        along = [viewed("", "dates"), viewed("", "dates")]
        reply = decide(running, customer, k=1, interactions=along)
        assert level(reply) == DEGRADATION_LEVEL_WITHOUT_FEATURES
        assert offered(reply) == ["dates"]
        assert reply.freshness.interactions_seen == 2
        assert reply.freshness.staleness.ToNanoseconds() > 0
        staleness = "interplay_staleness_seconds_count"
        assert running.server.metrics.registry.get_sample_value(staleness) == 1
        redis.resume()


def test_a_model_that_fails_leaves_popularity_also_without_features(
    home: Path, redis: RedisServer, customer: str
) -> None:
    with Running(home, online_url=redis.plain_url, read_ms=50.0) as running:
        redis.pause()
        for _ in range(2):
            reply = decide(running, customer, channel="kiosk", k=2)
            assert level(reply) == DEGRADATION_LEVEL_POPULARITY
            assert offered(reply) == ["flour", "eggs"]
        assert decisions(running, "POPULARITY") == 2
        assert decisions(running, "WITHOUT_FEATURES") == 0
        assert level(decide(running, customer)) == DEGRADATION_LEVEL_WITHOUT_FEATURES
        redis.resume()


def test_without_a_model_there_is_no_answer_and_recording_goes_on(tmp_path: Path) -> None:
    with Running(tmp_path / "home") as running:
        with pytest.raises(grpc.RpcError) as refused:
            running.personalization.DecideInteraction(asked(interactions=[viewed("ada", "eggs")]))
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        details = dict(refused.value.trailing_metadata())[DETAILS]
        reason = error_details_pb2.ErrorInfo()
        assert status_pb2.Status.FromString(details).details[0].Unpack(reason)
        assert reason.reason == "NO_MODEL"
        assert record(running, viewed("ada", "eggs")) == (1, 0)
        labels = {"method": "DecideInteraction", "channel": "web", "code": "FAILED_PRECONDITION"}
        counted = running.server.metrics.registry
        assert counted.get_sample_value("interplay_calls_total", labels) == 1
        assert counted.get_sample_value("interplay_model_info") is None
