"""The simulated history: lawful, the same again, and true to what it says of itself."""

from datetime import UTC, datetime

import duckdb
import pytest

from features.catalog_parts import read_items
from features.item import Item, check_item
from features.settings import Home
from features.simulation.simulate import simulate
from features.table_check import violations
from tests.worlds import SCENARIO, UNTIL, VOCABULARY, whole


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """One simulated world for all questions."""
    home = Home(tmp_path_factory.mktemp("world"))
    simulate(SCENARIO, home, vocabulary=VOCABULARY)
    return home


def ask(home: Home, question: str) -> list[tuple]:
    """Rows of a query over `history` and the tables of the truth."""
    with duckdb.connect() as database:
        database.execute(f"CREATE VIEW history AS FROM '{home.history}/*/*.parquet'")
        for file in home.truth.glob("*.parquet"):
            database.execute(f"CREATE VIEW {file.stem} AS FROM '{file}'")
        return database.sql(question).fetchall()


def test_every_interaction_is_lawful(home: Home) -> None:
    table = whole(home)
    assert len(table) > 10_000
    assert violations(table, vocabulary=VOCABULARY, now=UNTIL) == {}


def test_every_item_is_lawful_and_has_a_name_of_its_own(home: Home) -> None:
    rows = read_items(home).to_pylist()
    assert len({row["name"] for row in rows}) == 400
    items = [Item(**{**row, "tags": tuple(row["tags"])}) for row in rows]
    assert [each for item in items for each in check_item(item)] == []


def test_ids_are_unique_and_items_known(home: Home) -> None:
    ((rows, distinct),) = ask(home, "SELECT count(*), count(DISTINCT interaction_id) FROM history")
    assert rows == distinct
    strangers = "SELECT 1 FROM history ANTI JOIN items USING (item_id) WHERE item_id IS NOT NULL"
    assert ask(home, strangers) == []


def test_all_of_it_lies_within_its_days(home: Home) -> None:
    ((first, last),) = ask(home, "SELECT min(event_time), max(event_time) FROM history")
    assert datetime(2026, 9, 23, tzinfo=UTC) <= first
    assert last < UNTIL


def test_both_sides_and_all_channels_take_part(home: Home) -> None:
    assert ask(home, "SELECT DISTINCT initiator FROM history ORDER BY 1") == [
        ("COMPANY",),
        ("CUSTOMER",),
    ]
    channels = ask(home, "SELECT DISTINCT channel FROM history ORDER BY 1")
    expected = ["app", "chat", "contact-center", "email", "push", "sms", "store", "web"]
    assert [name for (name,) in channels] == expected
    ((types,),) = ask(home, "SELECT count(DISTINCT type) FROM history")
    assert types == 16


def test_purchases_follow_views_of_the_item(home: Home) -> None:
    ((seen,),) = ask(
        home,
        """
        SELECT avg((EXISTS (
            SELECT 1 FROM history AS looked
            WHERE looked.customer_id = bought.customer_id AND looked.item_id = bought.item_id
                AND looked.type = 'view' AND looked.event_time < bought.event_time
        ))::INT) FROM history AS bought WHERE type = 'purchase'
        """,
    )
    assert seen > 0.9


def test_purchases_online_come_of_the_intent_to_buy(home: Home) -> None:
    rows = ask(
        home,
        """
        SELECT intents.intent, count(*) AS purchases
        FROM (
            SELECT customer_id, event_time - INTERVAL 1 MICROSECOND AS before
            FROM history WHERE type = 'purchase' AND channel <> 'store'
        ) AS bought
        ASOF JOIN intents ON bought.customer_id = intents.customer_id AND before >= intents.time
        GROUP BY ALL
        """,
    )
    assert [intent for intent, _ in rows] == ["buy"]


def test_complaints_follow_delays(home: Home) -> None:
    ((complaints, late),) = ask(
        home,
        """
        SELECT count(*), sum((EXISTS (
            SELECT 1 FROM history AS told
            WHERE told.customer_id = angry.customer_id AND told.item_id = angry.item_id
                AND told.type = 'delay' AND told.event_time < angry.event_time
        ))::INT) FROM history AS angry WHERE type = 'complaint'
        """,
    )
    assert complaints > 10
    assert late == complaints


def test_returns_give_back_what_was_paid(home: Home) -> None:
    unpaid = """
        SELECT 1 FROM history AS back ANTI JOIN history AS bought
        ON bought.customer_id = back.customer_id AND bought.item_id = back.item_id
            AND bought.amount = back.amount AND bought.type = 'purchase'
            AND bought.event_time < back.event_time
        WHERE back.type = 'return'
    """
    assert ask(home, unpaid) == []


def test_fatigue_lowers_the_response_and_drives_people_away(home: Home) -> None:
    ((fresh, tired, dismissed_fresh, dismissed_tired),) = ask(
        home,
        """
        SELECT
            avg((response = 'visit')::INT) FILTER (wanted >= 0.3 AND fatigue < 0.2),
            avg((response = 'visit')::INT) FILTER (wanted >= 0.3 AND fatigue > 0.4),
            avg((response IN ('dismissal', 'opt-out'))::INT) FILTER (fatigue < 0.2),
            avg((response IN ('dismissal', 'opt-out'))::INT) FILTER (fatigue > 0.4)
        FROM contacts
        """,
    )
    assert fresh > 1.5 * tired
    assert dismissed_tired > 2 * dismissed_fresh


def test_a_wanted_message_brings_visits(home: Home) -> None:
    ((wanted, unwanted),) = ask(
        home,
        """
        SELECT avg((response = 'visit')::INT) FILTER (wanted >= 0.6),
            avg((response = 'visit')::INT) FILTER (wanted < 0.1)
        FROM contacts
        """,
    )
    assert wanted > 3 * unwanted


def test_a_visit_for_a_message_begins_with_what_was_offered(home: Home) -> None:
    unanswered = """
        SELECT 1 FROM contacts ANTI JOIN history AS looked
        ON looked.decision_id = contacts.decision_id AND looked.item_id = contacts.item_id
            AND looked.type = 'view' AND looked.event_time > contacts.time
        WHERE response = 'visit' AND contacts.time < TIMESTAMPTZ '2026-11-21 00:00:00Z'
    """
    assert ask(home, unanswered) == []


def test_who_opted_out_gets_no_message(home: Home) -> None:
    later = """
        SELECT 1 FROM history AS message JOIN history AS refusal USING (customer_id)
        WHERE message.type = 'message' AND refusal.type = 'opt-out'
            AND message.event_time > refusal.event_time + INTERVAL 1 DAY
    """
    assert ask(home, later) == []


def test_the_contact_arms_are_kept(home: Home) -> None:
    arms = ask(
        home,
        """
        SELECT contact_arm, count(contacts.time) / count(DISTINCT customer_id) AS messages
        FROM customers LEFT JOIN contacts USING (customer_id) GROUP BY 1 ORDER BY 2
        """,
    )
    assert [arm for arm, _ in arms] == ["none", "rare", "often", "daily"]
    assert arms[0][1] == 0


def test_people_look_at_what_they_have_a_taste_for(home: Home) -> None:
    ((main,),) = ask(
        home,
        """
        SELECT avg((items.taste_cluster = customers.taste_cluster)::INT)
        FROM history JOIN customers USING (customer_id) JOIN items USING (item_id)
        WHERE type = 'view'
        """,
    )
    assert main > 0.4  # one in sixteen would be chance


def test_the_next_item_is_often_the_successor(home: Home) -> None:
    ((share,),) = ask(
        home,
        """
        SELECT avg((successor_id = next)::INT) FROM (
            SELECT item_id, lead(item_id) OVER (PARTITION BY session_id ORDER BY event_time) AS next
            FROM history WHERE type = 'view' AND session_id IS NOT NULL
        ) JOIN items USING (item_id) WHERE next IS NOT NULL
        """,
    )
    assert share > 0.25


def test_popular_items_are_seen_more(home: Home) -> None:
    ((correlation,),) = ask(
        home,
        """
        SELECT corr(popularity, views) FROM (
            SELECT items.item_id, popularity, count(history.item_id) AS views
            FROM items LEFT JOIN history ON history.item_id = items.item_id AND type = 'view'
            GROUP BY ALL
        )
        """,
    )
    assert correlation > 0.4
