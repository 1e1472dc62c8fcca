"""Packed records: what they hold, and that merging them is free of order and of repeats."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.interaction import Interaction
from features.record import (
    RECORD,
    RECORD_BYTES,
    amount_bucket,
    bucket_amount,
    item_hash,
    merge,
    moment,
    pack,
    pack_table,
    tick,
    unpack,
)
from features.vocabulary import OTHER_CHANNEL_CODE, load_vocabulary
from tests.interactions import table_of

VOCABULARY = load_vocabulary()
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def purchase(**changes: object) -> Interaction:
    fields: dict[str, object] = {
        "source": "shop",
        "interaction_id": "1",
        "customer_id": "ada",
        "initiator": "CUSTOMER",
        "type": "purchase",
        "channel": "store",
        "item_id": "tea",
        "event_time": NOON,
        "amount": 3.0,
        "currency": "EUR",
    }
    return Interaction(**(fields | changes))  # type: ignore[arg-type]


def test_a_record_is_14_bytes_and_holds_what_happened() -> None:
    packed = pack(purchase(), VOCABULARY)
    columns = unpack(np.frombuffer(packed, RECORD))
    assert len(packed) == RECORD_BYTES == 14
    assert moment(int(columns.tick[0])) == NOON
    assert columns.item[0] == item_hash("tea")
    assert columns.type[0] == 6  # purchase, in vocabulary.toml
    assert columns.channel[0] == 3  # store
    assert columns.company[0] == 0
    assert columns.bucket[0] == 13  # 1 + 6 * log2(1 + 3)


def test_a_record_without_item_money_or_known_channel() -> None:
    each = purchase(
        type="message",
        initiator="COMPANY",
        item_id=None,
        amount=None,
        currency=None,
        channel="carrier-pigeon",
    )
    columns = unpack(np.frombuffer(pack(each, VOCABULARY), RECORD))
    assert columns.item[0] == 0
    assert columns.channel[0] == OTHER_CHANNEL_CODE
    assert columns.company[0] == 1
    assert columns.bucket[0] == 0


@pytest.mark.parametrize(
    ("amount", "bucket"), [(None, 0), (0.0, 1), (1.0, 7), (3.0, 13), (1e12, 127)]
)
def test_amounts_fall_into_six_buckets_a_doubling(amount: float | None, bucket: int) -> None:
    assert amount_bucket(amount) == bucket


@given(st.floats(0, 1e6))
def test_a_bucket_tells_the_amount_to_within_6_percent(amount: float) -> None:
    assert bucket_amount(amount_bucket(amount)) + 1 == pytest.approx(amount + 1, rel=0.06)


def test_ticks_round_down_exactly() -> None:
    assert tick(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)) == 256
    assert tick(datetime(1970, 1, 1, 0, 0, 0, 3906, tzinfo=UTC)) == 0
    assert tick(datetime(1970, 1, 1, 0, 0, 0, 3907, tzinfo=UTC)) == 1


def test_bytes_compare_as_times_do() -> None:
    early = pack(purchase(interaction_id="z", event_time=NOON), VOCABULARY)
    late = pack(
        purchase(interaction_id="a", event_time=NOON + timedelta(milliseconds=8)), VOCABULARY
    )
    assert early < late


interactions = st.builds(
    purchase,
    interaction_id=st.text("abc", min_size=1, max_size=3),
    source=st.sampled_from(["shop", "app"]),
    type=st.sampled_from(sorted(VOCABULARY.types)),
    channel=st.sampled_from(["web", "store", "elsewhere"]),
    initiator=st.sampled_from(["CUSTOMER", "COMPANY"]),
    item_id=st.none() | st.text(min_size=1, max_size=5),
    amount=st.none() | st.floats(0, 1e12),
    event_time=st.datetimes(datetime(2000, 1, 1), datetime(2050, 1, 1)).map(
        lambda each: each.replace(tzinfo=UTC)
    ),
)


@given(st.lists(interactions, max_size=20))
def test_packing_a_table_is_packing_its_rows(rows: list[Interaction]) -> None:
    expected = b"".join(pack(row, VOCABULARY) for row in rows)
    assert pack_table(table_of(rows), VOCABULARY).tobytes() == expected


records = st.lists(st.binary(min_size=RECORD_BYTES, max_size=RECORD_BYTES), max_size=12)


@given(records, st.randoms(use_true_random=False), st.integers(1, 8))
def test_any_order_and_any_repeats_merge_alike(written, random, max_records) -> None:  # type: ignore[no-untyped-def]
    expected = b"".join(sorted(set(written))[-max_records:])
    arriving = written * 2
    random.shuffle(arriving)
    held = b""
    while arriving:
        size = random.randint(1, len(arriving))
        held = merge(held, b"".join(arriving[:size]), max_records=max_records)
        arriving = arriving[size:]
    assert held == expected


def test_half_a_record_is_refused() -> None:
    with pytest.raises(ValueError, match="20 bytes are no whole number of 14-byte records"):
        merge(b"", b"x" * 20, max_records=5)
