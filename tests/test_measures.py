"""Customer measures: hand-worked numbers, and the same ones through Feast, on-line and off."""

from datetime import timedelta
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.history.partitions import write_part
from features.history.point_in_time import TIME, histories_at, write_histories
from features.interaction import Interaction
from features.measures.customers import Measures, measure_columns
from features.online.store import OnlineFeatures
from features.record import RECORD_BYTES, merge, pack, tick
from features.settings import FeatureSettings, Home
from features.vocabulary import DEFAULT_PATH, load_vocabulary
from tests.interactions import START, interaction, table_of

VOCABULARY = load_vocabulary()
MEASURES = Measures(VOCABULARY, max_records=5)
NOW = START + timedelta(days=400)
DAY = 86_400.0


def ago(days: float, type: str = "view", number: int = 0, **changes: object) -> Interaction:
    event_time = NOW - timedelta(days=days)
    return interaction(number, **{"event_time": event_time, "type": type} | changes)


def packed(*interactions: Interaction) -> bytes:
    records = [pack(each, VOCABULARY) for each in interactions]
    return merge(b"", b"".join(records), max_records=100)


def measured(*interactions: Interaction) -> dict[str, float]:
    taken = MEASURES.take([packed(*interactions)], np.array([tick(NOW)]))[0]
    return dict(zip(MEASURES.names, taken.tolist(), strict=True))


def test_each_measure_has_one_name() -> None:
    # 20 types and 11 channels at two half-lives, 20 recencies, counts and amounts of 3 types
    # of transaction in 3 windows, contacts in 3 windows, 3 rates, 3 on what is seen.
    assert len(set(MEASURES.names)) == len(MEASURES.names) == 2 * 31 + 20 + 2 * 9 + 3 + 3 + 3
    assert "decayed_30d_channel_contact_center" in MEASURES.names
    assert all(each.isidentifier() for each in MEASURES.names)


def test_a_count_halves_with_each_half_life() -> None:
    found = measured(ago(0), ago(1), ago(2, channel="store"), ago(1, "purchase", 3))
    assert found["decayed_1d_type_view"] == 1.75
    assert found["decayed_1d_type_purchase"] == 0.5
    assert found["decayed_1d_channel_web"] == 2.0
    assert found["decayed_1d_channel_store"] == 0.25
    assert found["decayed_30d_type_view"] == pytest.approx(1 + 2 ** (-1 / 30) + 2 ** (-2 / 30))
    assert found["decayed_1d_type_return"] == found["decayed_30d_channel_email"] == 0


def test_channels_that_are_not_listed_count_together() -> None:
    found = measured(ago(0, channel="kiosk"), ago(1, channel="hologram"))
    assert found["decayed_1d_channel_other"] == 1.5


def test_recency_is_that_of_the_newest() -> None:
    found = measured(ago(3), ago(0.5), ago(40, "purchase"))
    assert found["since_type_view"] == 0.5 * DAY
    assert found["since_type_purchase"] == 40 * DAY
    assert found["since_type_complaint"] == np.inf


def test_windows_hold_what_is_no_older() -> None:
    bought = {"amount": 20.0, "currency": "EUR"}
    days = (0, 7, 7.001, 30, 365, 366)
    found = measured(*(ago(d, "purchase", n, **bought) for n, d in enumerate(days)))
    assert [found[f"count_{d}d_purchase"] for d in (7, 30, 365)] == [2, 4, 5]
    for window, count in ((7, 2), (30, 4), (365, 5)):
        assert abs(found[f"amount_{window}d_purchase"] - 20 * count) <= count * (0.06 * 20 + 0.06)
    assert found["count_365d_return"] == found["amount_365d_return"] == 0


@given(st.floats(0, 1e5))
def test_an_amount_is_known_to_within_the_stated_error(amount: float) -> None:
    found = measured(ago(1, "purchase", amount=amount, currency="EUR"))
    assert abs(found["amount_7d_purchase"] - amount) <= 0.06 * amount + 0.06


def test_contacts_are_what_the_company_began() -> None:
    company = {"initiator": "COMPANY"}
    found = measured(ago(1), ago(2, "message", **company), ago(20, "impression", **company))
    assert [found[f"contacts_{d}d"] for d in (7, 30, 365)] == [1, 2, 2]


def test_rates_are_smoothed_by_their_priors() -> None:
    assert measured()["purchase_per_view"] == 1 / 25
    assert measured()["return_per_purchase"] == pytest.approx(0.16 / 7)
    views = [ago(0, number=n) for n in range(3)]
    found = measured(*views, ago(0, "purchase", 7), ago(30, "purchase", 8), ago(30, "return", 9))
    assert found["purchase_per_view"] == (1 + 1.5) / (25 + 3)
    assert found["return_per_purchase"] == (0.16 + 0.5) / (7 + 1.5)


def test_it_is_said_how_far_the_records_reach() -> None:
    found = measured(*(ago(d, number=d) for d in (1, 2, 3, 4)))
    assert (found["held"], found["full"], found["reach_s"]) == (4, 0, 4 * DAY)
    found = measured(*(ago(d, number=d) for d in (1, 2, 3, 4, 50)))
    assert (found["held"], found["full"], found["reach_s"]) == (5, 1, 50 * DAY)


def test_a_stranger_has_nothing() -> None:
    found = measured()
    assert (found["held"], found["full"], found["reach_s"]) == (0, 0, 0)
    assert found["since_type_view"] == np.inf
    assert found["decayed_1d_type_view"] == found["contacts_7d"] == 0


def test_what_is_not_yet_does_not_count() -> None:
    found = measured(ago(0), ago(-0.001), ago(1))
    assert (found["held"], found["decayed_1d_type_view"]) == (2, 1.5)
    assert found["since_type_view"] == 0


def test_types_that_have_left_the_vocabulary_are_passed_over() -> None:
    kept = {name: each for name, each in VOCABULARY.types.items() if name != "view"}
    measures = Measures(type(VOCABULARY)(kept, VOCABULARY.channels), 5)
    history = packed(ago(1), ago(2, "purchase", 3))
    taken = measures.take([history], np.array([tick(NOW)]))[0]
    found = dict(zip(measures.names, taken, strict=True))
    assert "purchase_per_view" not in found and "decayed_1d_type_view" not in found
    assert (found["decayed_1d_type_purchase"], found["decayed_1d_channel_web"]) == (0.25, 0.75)


def test_a_batch_of_many_is_many_batches_of_one() -> None:
    histories = [packed(*(ago(d, number=d) for d in range(n))) for n in (3, 0, 5, 1)]
    now = np.array([tick(NOW - timedelta(hours=hour)) for hour in range(4)])
    together = MEASURES.take(histories, now)
    alone = [MEASURES.take([each], now[at : at + 1]) for at, each in enumerate(histories)]
    assert (together == np.concatenate(alone)).all()
    assert MEASURES.take([], np.array([])).shape == (0, len(MEASURES.names))


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 100)), max_size=12), st.integers(0, 9))
def test_neither_order_nor_repeats_matter(made: list[tuple[int, float]], seed: int) -> None:
    records = [pack(ago(days, number=number), VOCABULARY) for number, days in made]
    shuffled = records + records[: seed // 2]
    Random(seed).shuffle(shuffled)
    merged = b""
    for each in shuffled:
        merged = merge(merged, each, max_records=5)
    once = merge(b"", b"".join(records), max_records=5)
    now = np.array([tick(NOW)])
    assert (MEASURES.take([merged], now) == MEASURES.take([once], now)).all()


def test_feast_gives_the_same_on_line(tmp_path: Path) -> None:
    settings = FeatureSettings(home=tmp_path, max_records=5)
    online = OnlineFeatures(settings)
    histories = {f"c{n}": packed(*(ago(d, number=d) for d in range(n))) for n in range(1, 5)}
    online.write_records(histories)
    keys, now = [*histories, "nobody"], tick(NOW)
    expected = MEASURES.take([*histories.values(), b""], np.full(5, now)).tolist()

    service = online.feast.get_feature_service("decision-measures-v1")
    asked = {"customer_key": keys, "now_tick": [now] * 5}
    answer = online.feast.get_online_features(service, asked).to_dict()
    at = [answer["customer_key"].index(key) for key in keys]  # Feast answers in any order
    assert [[answer[name][row] for name in MEASURES.names] for row in at] == expected


def test_feast_gives_the_same_for_the_past(tmp_path: Path) -> None:
    acts = [ago(days, customer_id=f"c{n % 3}", number=n) for n, days in enumerate(range(40, 0, -3))]
    home = Home(tmp_path)
    write_part(home.history, table_of(acts), part="a")
    moments = {(f"c{n}", NOW - timedelta(days=days)) for n in range(4) for days in (35, 20.5, 3)}
    keys, times = zip(*sorted(moments), strict=True)
    asked = pa.table({"customer_key": keys, "event_time": pa.array(times, TIME)})
    batches = histories_at(home.history, asked, max_records=5, vocabulary=VOCABULARY)
    write_histories(home.windows, batches, name="asked")

    online = OnlineFeatures(FeatureSettings(home=tmp_path, max_records=5))
    service = online.feast.get_feature_service("decision-measures-v1")
    rows = {"customer_key": keys, "event_timestamp": times, "now_tick": [tick(t) for t in times]}
    answer = online.feast.get_historical_features(pd.DataFrame(rows), service).to_arrow()
    for row in answer.to_pylist():
        known = [e for e in acts if e.event_time < row["event_timestamp"]]
        own = packed(*(each for each in known if each.customer_id == row["customer_key"]))
        now = np.array([tick(row["event_timestamp"])])
        expected = MEASURES.take([own[-5 * RECORD_BYTES :]], now)[0]
        assert [row[name] for name in MEASURES.names] == expected.tolist()
    assert len(answer) == 12


def test_columns_without_whole_records_are_those_of_a_stranger() -> None:
    columns = {"records": [None, b"", b"a record cut"], "now_tick": [tick(NOW)] * 3}
    found = measure_columns(columns, str(DEFAULT_PATH), 5)
    assert found["held"] == [0, 0, 0]
