"""Histories of a small shop, as training reads them."""

from datetime import timedelta

import numpy as np

from features.encoding import ItemIndex
from features.interaction import Interaction
from features.record import merge, pack, tick
from features.vocabulary import load_vocabulary
from tests.interactions import START, interaction
from training.data.items import KnownItems
from training.data.questions import TICKS_PER_DAY
from training.data.sequences import Sequences, sequences_of
from training.data.split import Split
from training.data.steps import NO_STEPS, add_steps, most_frequent
from training.learning.plan import Plan, make_plan
from training.settings import TrainingSettings

DAY = TICKS_PER_DAY
LAST_DAY = 100  # of 2026 that anything is known of
VOCABULARY = load_vocabulary()
ITEMS = ItemIndex(tuple(f"i{number}" for number in range(6)))
SETTINGS = TrainingSettings(width=16, max_length=6, positions_a_step=64)
SPLIT = Split(
    validation_tick=tick(START + timedelta(days=70)),
    test_tick=tick(START + timedelta(days=80)),
    end_tick=tick(START + timedelta(days=LAST_DAY)),
)


def on_day(day: float, number: int = 0, **changes: object) -> Interaction:
    """An interaction so many days into 2026, about item i<number>."""
    return interaction(number, **{"event_time": START + timedelta(days=day), **changes})


def packed(*interactions: Interaction) -> bytes:
    """A history as the online store holds it."""
    history = b""
    for each in interactions:
        history = merge(history, pack(each, VOCABULARY), max_records=1000)
    return history


def sequences(*histories: bytes) -> Sequences:
    """Customers c0, c1, ... with these histories."""
    names = [f"c{number}" for number in range(len(histories))]
    return sequences_of(names, list(histories), SPLIT)


def shoppers(count: int, seed: int = 0) -> list[bytes]:
    """Histories in which each item is followed by the next one, and seldom by any other."""
    rng = np.random.default_rng(seed)
    histories = []
    for _ in range(count):
        item, acts = int(rng.integers(6)), []
        for day in range(int(rng.integers(1, 40))):
            item = (item + 1) % 6 if rng.random() < 0.9 else int(rng.integers(6))
            acts.append(on_day(2 * day + rng.random(), item, interaction_id=str(rng.random())))
        histories.append(packed(*acts))
    return histories


def plan(**changes: object) -> Plan:
    """A plan for the small shop, whose items have no content, but followers."""
    known = KnownItems(ITEMS, np.zeros((6, 1), np.int64), 2, np.zeros(0, np.uint32))
    settings = TrainingSettings(
        **{name: getattr(SETTINGS, name) for name in SETTINGS.__slots__} | changes  # type: ignore[arg-type]
    )
    steps = add_steps(NO_STEPS, sequences(*shoppers(10)), ITEMS)
    return make_plan(settings, SPLIT, known, VOCABULARY, most_frequent(steps, 6, most=3), 2000)
