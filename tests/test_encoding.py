"""Training reads a customer as serving does, token for token; and asks only what has an answer."""

import numpy as np

from features.encoding import encode
from features.record import RECORD_BYTES
from tests.sequences import (
    DAY,
    ITEMS,
    LAST_DAY,
    VOCABULARY,
    on_day,
    packed,
    sequences,
    shoppers,
)
from training.data.questions import NONE, Asking, Questions, ask, type_index
from training.data.windows import Batch, batches, windows_of

TYPES = type_index(VOCABULARY)
SILENCE = len(VOCABULARY.predicted)
VIEW, PURCHASE = (VOCABULARY.predicted.index(name) for name in ("view", "purchase"))


def asked(*histories: bytes, arrivals: float = 0.5) -> Questions:
    """A question at each position, with a horizon of a week."""
    asking = Asking(horizon_ticks=7 * DAY, arrivals=arrivals)
    return ask(sequences(*histories), TYPES, asking, np.random.default_rng(0))


def only_batch(history: bytes, questions: Questions, *, max_length: int) -> Batch:
    """All windows of a customer, in one batch."""
    (batch,) = batches(
        sequences(history),
        questions,
        ITEMS,
        max_length=max_length,
        positions_a_batch=1000,
        rng=np.random.default_rng(0),
    )
    return batch


def test_each_position_reads_what_serving_encodes() -> None:
    history = packed(*(on_day(day, number) for number, day in enumerate([0, 0.1, 3, 9, 9.5])))
    questions = asked(history)
    batch = only_batch(history, questions, max_length=50)
    assert not batch.tokens_BLF[0, 0].any()  # before the first interaction there is padding
    for position in range(6):
        tokens_BLF, context_BC = encode(
            [history[: position * RECORD_BYTES]],
            questions.context_PC[[position], 0].tolist(),
            questions.tick_P[[position]],
            items=ITEMS,
            max_length=50,
        )
        first = min(position, 1)  # padding only where there is nothing else
        assert (batch.tokens_BLF[0, first : position + 1] == tokens_BLF[0]).all()
        assert (batch.context_BLC[0, position] == context_BC[0]).all()


def test_a_cut_window_reads_what_serving_encodes_of_a_long_history() -> None:
    history = max(shoppers(20), key=len)
    assert len(history) > 20 * RECORD_BYTES
    batch = only_batch(history, asked(history), max_length=6)
    tokens_BLF, _ = encode([history], [1], np.array([0]), items=ITEMS, max_length=6)
    assert any((window == tokens_BLF[0]).all() for window in batch.tokens_BLF)


def test_each_known_position_is_learnt_once() -> None:
    histories = shoppers(30)
    several, questions = sequences(*histories), asked(*histories)
    windows = windows_of(several, questions, 6)
    learnt = np.zeros(len(questions.type_P), int)
    for learn, end in zip(windows.learn, windows.end, strict=True):
        learnt[learn:end] += 1
    assert (learnt[questions.type_P != NONE] == 1).all()
    assert (windows.end - windows.start).max() == 6


def test_a_customer_who_comes_is_asked_for_what_comes() -> None:
    history = packed(on_day(0, 1), on_day(1, 2, type="purchase"))
    questions = asked(history, arrivals=1.0)
    assert questions.type_P.tolist() == [VIEW, PURCHASE, SILENCE]
    assert questions.context_PC[0].tolist() == [1, 0]  # web; nothing came before
    assert questions.context_PC[1].tolist() == [1, 33]  # 1 + 2 log2(86401) is 33.8


def test_what_comes_after_the_horizon_is_silence() -> None:
    history = packed(on_day(0), on_day(90))
    answers = [asked(history, arrivals=share).type_P[1] for share in (0.0, 1.0)]
    assert answers == [SILENCE, VIEW]  # somewhere in 90 days; and when the customer is there


def test_silence_at_the_end_is_not_known_before_the_horizon_is_over() -> None:
    early, late = packed(on_day(LAST_DAY - 8)), packed(on_day(LAST_DAY - 6))
    assert asked(early, late).type_P[[1, 3]].tolist() == [SILENCE, NONE]


def test_what_the_company_does_is_no_answer_but_ends_the_moment() -> None:
    message = on_day(1, type="message", initiator="COMPANY", item_id=None, channel="email")
    questions = asked(packed(on_day(0, 1), message, on_day(2, 2)), arrivals=1.0)
    assert questions.type_P[1:3].tolist() == [VIEW, VIEW]
    assert questions.arriving_P.tolist() == [True, False, True, False]
    ticks = questions.tick_P
    assert ticks[0] <= ticks[1] <= ticks[0] + DAY  # put before the message came


def test_silence_does_not_show_in_the_channel() -> None:
    histories = [packed(on_day(0, channel="store"), on_day(60, channel="app"))] * 200
    questions = asked(*histories, arrivals=0.5)
    silent = questions.type_P == SILENCE
    assert set(questions.context_PC[silent, 0].tolist()) == {2, 3}  # app, store
