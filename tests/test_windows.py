"""What is learnt without a profile is what serving asks of customers who have none."""

from collections.abc import Iterator

import numpy as np

from features.encoding import TYPE, encode
from features.record import RECORD_BYTES
from tests.sequences import DAY, ITEMS, SPLIT, VOCABULARY, on_day, packed, sequences, shoppers
from training.data.questions import NONE, Asking, Questions, ask, type_index
from training.data.sequences import Sequences
from training.data.windows import Batch, bare_windows, batches, windows_of
from training.learning.start import only_new

DAYS = 9
HISTORY = packed(
    *(on_day(3 * day, day % 6, channel=("web", "app")[day % 2]) for day in range(DAYS))
)
Row = tuple[object, ...]


def asked(several: Sequences) -> Questions:
    """A question at each position."""
    asking = Asking(horizon_ticks=7 * DAY)
    return ask(several, type_index(VOCABULARY), asking, np.random.default_rng(0))


def learnt(several: Sequences, questions: Questions, share: float, seed: int = 0) -> Batch:
    """All of an epoch in one batch."""
    (batch,) = batches(
        several,
        questions,
        ITEMS,
        max_length=20,
        positions_a_batch=10_000,
        rng=np.random.default_rng(seed),
        without_profile=share,
    )
    return batch


def served(questions: Questions, position: int, length: int) -> Row:
    """What serving feeds of who came with so many interactions, and the answer."""
    tokens_BLF, context_BC = encode(
        [HISTORY[(position - length) * RECORD_BYTES : position * RECORD_BYTES]],
        questions.context_PC[[position], 0].tolist(),
        questions.tick_P[[position]],
        items=ITEMS,
        max_length=20,
    )
    answer = questions.type_P[position], ITEMS.rows(questions.item_P[[position]])[0]
    return tokens_BLF[0].tobytes(), context_BC[0].tobytes(), *map(int, answer)


def bare_rows(batch: Batch) -> Iterator[tuple[int, Row]]:
    """Of each window that has no profile how many interactions it reads, and as served()."""
    for at in np.flatnonzero((batch.type_BL != NONE).sum(axis=1) == 1):
        length = int((batch.tokens_BLF[at, :, TYPE] > 0).sum())
        read = max(length, 1)
        assert not batch.tokens_BLF[at, :-read].any()
        answer = int(batch.type_BL[at, -1]), int(batch.row_BL[at, -1])
        tokens, context = batch.tokens_BLF[at, -read:], batch.context_BLC[at, -1]
        yield length, (tokens.tobytes(), context.tobytes(), *answer)


def test_without_a_profile_training_reads_what_serving_encodes() -> None:
    several = sequences(HISTORY)
    questions = asked(several)
    expected = {
        (length, served(questions, position, length))
        for position in range(DAYS + 1)
        for length in range(min(position, 3) + 1)
    }
    found = [list(bare_rows(learnt(several, questions, 1.0, seed))) for seed in range(50)]
    assert {len(rows) for rows in found} == {DAYS + 1}  # each position once
    assert {row for rows in found for row in rows} == expected


def test_most_of_it_reads_nothing_and_the_rest_a_few_interactions() -> None:
    several = sequences(*shoppers(200))
    bare = bare_windows(several, asked(several), 50, 1.0, np.random.default_rng(0))
    lengths = np.bincount(bare.end - bare.start) / len(bare.end)
    assert len(lengths) == 4
    assert lengths[0] > 0.6 > 0.15 > lengths[1] > lengths[3] > 0.05
    short = bare_windows(several, asked(several), 2, 1.0, np.random.default_rng(0))
    assert (short.end - short.start).max() == 2


def test_a_share_of_the_answers_is_learnt_once_more() -> None:
    several = sequences(*shoppers(200))
    questions = asked(several)
    known = int((questions.type_P != NONE).sum())
    counts = [int((learnt(several, questions, share).type_BL != NONE).sum()) for share in (0, 0.2)]
    assert counts[0] == known
    assert 1.17 * known < counts[1] < 1.23 * known


def test_whole_histories_are_read_as_if_there_were_nothing_else() -> None:
    several = sequences(HISTORY)
    questions = asked(several)
    windows = windows_of(several, questions, 20)
    assert not windows.bare.any()
    for share in (0.0, 1.0):
        batch = learnt(several, questions, share)
        (whole,) = np.flatnonzero((batch.type_BL != NONE).sum(axis=1) > 1)
        assert batch.type_BL[whole].tolist() == questions.type_P.tolist()
        assert batch.context_BLC[whole].tolist() == questions.context_PC.tolist()


def test_a_warm_start_learns_only_new_answers_without_a_profile() -> None:
    several = sequences(*shoppers(200))
    questions, rng = asked(several), np.random.default_rng(0)
    new = only_new(questions, several, SPLIT, horizon_ticks=7 * DAY, rng=rng)
    bare = bare_windows(several, new, 50, 1.0, rng)
    assert 0 < len(bare.learn) == (new.type_P != NONE).sum() < (questions.type_P != NONE).sum()


def test_the_same_seed_draws_the_same() -> None:
    several = sequences(*shoppers(30))
    questions = asked(several)
    one, same, other = (learnt(several, questions, 0.3, seed) for seed in (1, 1, 2))
    assert one.tokens_BLF.tobytes() == same.tokens_BLF.tobytes() != other.tokens_BLF.tobytes()
