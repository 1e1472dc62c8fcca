"""What was said last of a topic holds, however much is said of others; wrong topics are named."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from features.interaction import Interaction, Purpose, check
from features.online.known import write_interactions
from features.online.store import OnlineFeatures
from features.privacy.consent import Consent, consent_of, consent_records
from features.privacy.preferences import NO_PREFERENCES, topic_key
from features.record import latest, moment, tick
from features.settings import FeatureSettings
from features.topic import Kind, Topic
from features.vocabulary import load_vocabulary
from tests.interactions import START, interaction
from tests.redis_server import RedisServer

VOCABULARY = load_vocabulary()
RUNNING = Topic(Kind.CATEGORY, "Running")
MUTED, LET_BE = "opt-out", "opt-in"


def said(type_: str, topic: str, *, hour: int = 0, **attributes: str) -> Interaction:
    return interaction(
        type=type_,
        interaction_id=f"{type_} {topic} {hour}",
        item_id=None,
        event_time=START + timedelta(hours=hour),
        attributes={"topic": topic} | attributes,
    )


def after(*interactions: Interaction) -> Consent:
    return consent_of(latest(b"".join(map(records, interactions))), VOCABULARY)


def records(each: Interaction) -> bytes:
    return consent_records(each, VOCABULARY)


def test_what_was_said_last_of_a_topic_holds_in_whatever_order_it_arrives() -> None:
    muted, let_be = said(MUTED, "category:Running"), said(LET_BE, "category:Running", hour=1)
    assert after(muted).preferences.mutes(RUNNING)
    assert not after(muted).preferences.mutes(Topic(Kind.BRAND, "Running"))
    assert after(muted, let_be).preferences == after(let_be, muted).preferences == NO_PREFERENCES
    again = said(MUTED, "category:Running", hour=2)
    assert after(again, let_be, muted).preferences.muted == {topic_key(RUNNING): Kind.CATEGORY}


def test_a_topic_is_no_consent_and_an_opt_out_of_all_purposes_mutes_nothing() -> None:
    assert after(said(MUTED, "channel:email")).said == {}
    everything = interaction(type=MUTED, item_id=None)
    assert after(everything).preferences == NO_PREFERENCES
    assert len(after(everything).said) == 3


@pytest.mark.parametrize(
    ("asked", "held"),
    [
        (timedelta(seconds=1), timedelta(minutes=1)),
        (timedelta(days=22), timedelta(days=22)),
        (timedelta(days=900, minutes=1), timedelta(days=900, hours=1)),
    ],
)
def test_a_pause_ends_not_before_it_should(asked: timedelta, held: timedelta) -> None:
    end = (START + asked).isoformat()
    paused = said(MUTED, "everything", until=end)
    preferences = after(paused).preferences
    assert moment(preferences.pause_end_tick) == START + held
    assert preferences.pauses(tick(START))
    assert not preferences.pauses(tick(START + held))
    assert after(paused, said(LET_BE, "everything", hour=1)).preferences == NO_PREFERENCES


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ({"topic": "Running"}, "attributes['topic'] is 'Running': must be category:NAME, "),
        ({"topic": "brand:"}, "attributes['topic'] is 'brand:': must be category:NAME, "),
        ({"topic": "type:fun"}, "attributes['topic'] is 'type:fun': unknown interaction type; "),
        ({"topic": "everything"}, "attributes['until'] is None: must be a time with its zone, "),
        (
            {"topic": "everything", "until": "2029-01-01T00:00:00+00:00"},
            "attributes['until'] is '2029-01-01T00:00:00+00:00': must be at most 1,000 days ",
        ),
        (
            {"topic": "item:i1", "purpose": "contact"},
            "attributes['purpose'] is 'contact': a purpose and a topic do not go together",
        ),
    ],
)
def test_what_names_no_topic_is_refused(attributes: dict[str, str], told: str) -> None:
    wrong = interaction(type=MUTED, attributes=attributes)
    (violation,) = check(wrong, vocabulary=VOCABULARY, now=START)
    assert str(violation)[: len(told)] == told


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def online(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OnlineFeatures]:
    home: Path = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite":
        yield OnlineFeatures(FeatureSettings(home=home, max_records=5))
        return
    with RedisServer(home) as server:
        yield OnlineFeatures(FeatureSettings(home=home, max_records=5, online_url=server.url))


def test_neither_interactions_nor_a_change_of_mind_push_a_preference_out(
    online: OnlineFeatures,
) -> None:
    opted_in = interaction(type=LET_BE, item_id=None, attributes={"purpose": "contact"})
    muted = said(MUTED, "category:Running", hour=1)
    views = [interaction(number) for number in range(10, 20)]
    wavering = [
        said(LET_BE if hour % 2 else MUTED, "brand:Alpina", hour=hour) for hour in range(300)
    ]
    for some in ([opted_in, muted], views, wavering[:150], wavering[150:], wavering[7:9]):
        write_interactions(online, some, VOCABULARY)
    (known,) = online.read_known(["ada"])
    held = consent_of(known.consent, VOCABULARY)
    assert held.said == {Purpose.CONTACT: True}
    assert held.preferences.muted == {topic_key(RUNNING): Kind.CATEGORY}
    assert known.consent == latest(
        b"".join([records(opted_in), records(muted), records(wavering[-1])])
    )
