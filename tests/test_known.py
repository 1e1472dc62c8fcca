"""What is known on-line does not depend on the order in which it is written; joins are followed."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import permutations
from pathlib import Path

import pytest

from features.interaction import Interaction, Purpose
from features.online.known import read_joined, write_interactions
from features.online.store import OnlineFeatures
from features.privacy.consent import consent_of
from features.record import merge, pack
from features.settings import FeatureSettings
from features.vocabulary import load_vocabulary
from tests.interactions import START, interaction

VOCABULARY = load_vocabulary()


@pytest.fixture(scope="module")
def online(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnlineFeatures]:
    yield OnlineFeatures(FeatureSettings(home=tmp_path_factory.mktemp("home"), max_records=5))


@pytest.fixture
def ada(tmp_path: Path) -> str:
    """A customer of this test alone."""
    return f"ada-{tmp_path.name}"


def seen(
    customer: str | None, anonymous: str | None, number: int, **changes: object
) -> Interaction:
    changes = {"customer_id": customer, "anonymous_id": anonymous} | changes
    return interaction(number, interaction_id=f"{customer}-{anonymous}-{number}", **changes)


def joining(customer: str, anonymous: str, number: int) -> Interaction:
    return seen(customer, anonymous, number, type="identify", item_id=None)


def packed(*interactions: Interaction) -> bytes:
    return merge(b"", b"".join(pack(each, VOCABULARY) for each in interactions), max_records=5)


def known(online: OnlineFeatures, *keys: str) -> list[bytes]:
    return read_joined(online, keys, log_id="log").histories


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_joined_history_is_one_whatever_came_first(
    online: OnlineFeatures, ada: str, order: tuple[int, ...]
) -> None:
    cookie = f"cookie-{ada}"
    rows = [seen(None, cookie, 1), joining(ada, cookie, 2), seen(ada, None, 3)]
    for at in order:
        write_interactions(online, [rows[at]], VOCABULARY)
    write_interactions(online, rows, VOCABULARY)  # twice is once
    later = seen(None, cookie, 4)
    write_interactions(online, [later], VOCABULARY)
    assert known(online, ada, f"anonymous:{cookie}") == [packed(*rows, later)] * 2


def test_an_anonymous_id_stays_with_the_first_customer(online: OnlineFeatures, ada: str) -> None:
    bob, cookie = f"bob-{ada}", f"cookie-{ada}"
    first, other = joining(ada, cookie, 1), joining(bob, cookie, 2)
    write_interactions(online, [first], VOCABULARY)
    write_interactions(online, [other], VOCABULARY)
    view = seen(None, cookie, 3)
    write_interactions(online, [view], VOCABULARY)
    assert known(online, ada, bob) == [packed(first, view), packed(other)]


def test_what_was_said_before_joining_holds_after_it(online: OnlineFeatures, ada: str) -> None:
    cookie = f"cookie-{ada}"
    consents = {"type": "opt-in", "item_id": None, "attributes": {"purpose": "contact"}}
    write_interactions(online, [seen(None, cookie, 1, **consents)], VOCABULARY)
    (before,) = read_joined(online, [ada], log_id="log").customers
    write_interactions(online, [joining(ada, cookie, 2)], VOCABULARY)
    (after,) = read_joined(online, [ada], log_id="log").customers
    assert not consent_of(before.consent, VOCABULARY).allows(Purpose.CONTACT)
    assert consent_of(after.consent, VOCABULARY).allows(Purpose.CONTACT)
    withdrawn = {"type": "opt-out", "item_id": None, "event_time": START + timedelta(days=1)}
    write_interactions(online, [seen(ada, None, 3, **withdrawn)], VOCABULARY)
    (last,) = read_joined(online, [f"anonymous:{cookie}"], log_id="log").customers
    assert not consent_of(last.consent, VOCABULARY).allows(Purpose.CONTACT)
