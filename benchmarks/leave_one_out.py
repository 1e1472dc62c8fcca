"""A published data set as our training takes it: packed sequences, a plan, and what is asked.

The lines have no times: a customer's are a minute apart and end with the one that is to be found,
which comes at the same moment for all. The one before it belongs to the histories that are asked
about, but is not learnt from: the protocol keeps it for validation.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import ray.data

from benchmarks.published import Lines
from features.item import Item
from features.record import TICKS_PER_SECOND, item_hashes, pack_table, tick, words
from features.vocabulary import Initiator, Vocabulary, load_vocabulary
from training.data.items import describe
from training.data.sequences import gather
from training.data.split import Split
from training.judging.contest import count_followers
from training.judging.examples import Examples
from training.learning.plan import Plan, make_plan
from training.settings import TrainingSettings

ASKED_TICK = tick(datetime(2020, 1, 1, tzinfo=UTC))
MINUTE = 60 * TICKS_PER_SECOND
TYPE, CHANNEL = "view", "web"
BLOCKS = 16


@dataclass(frozen=True, slots=True)
class Trial:
    """What is learnt, how, and the questions in the order of the users."""

    plan: Plan
    dataset: ray.data.Dataset
    examples: Examples
    weight_NT: np.ndarray  # only items viewed next are asked for
    right_N: np.ndarray  # their indices


def leave_one_out(lines: Lines, settings: TrainingSettings) -> Trial:
    """Within training.learning.cluster.cluster()."""
    vocabulary, known = load_vocabulary(), lines.known()
    learnt = known.known()
    split = Split(validation_tick=ASKED_TICK, test_tick=ASKED_TICK, end_tick=ASKED_TICK + 1)
    items = describe([Item(item_id=each) for each in np.unique(lines.item_N).astype(str).tolist()])
    table = gather(_packed(learnt, vocabulary))
    step = -(-len(table) // BLOCKS)
    dataset = ray.data.from_arrow([table[at : at + step] for at in range(0, len(table), step)])
    followers = count_followers(dataset, split, items.index)
    plan = make_plan(settings, split, items, vocabulary, followers, len(learnt.user_N))
    histories = gather(_packed(known, vocabulary))["records"].to_pylist()
    examples = _examples(lines, histories, vocabulary)
    weight_T = np.array(vocabulary.predicted) == TYPE
    return Trial(
        plan=plan,
        dataset=dataset,
        examples=examples,
        weight_NT=np.tile(weight_T.astype(np.float32), (len(examples), 1)),
        right_N=np.array([items.index.index_by_id[str(each)] for each in lines.asked().item_N]),
    )


def _packed(lines: Lines, vocabulary: Vocabulary) -> pa.Table:
    """Rows of customer, head and tail, as gather takes them."""
    count = len(lines.user_N)
    rows = pa.table(
        {
            "source": pa.repeat("published", count),
            "interaction_id": pa.array(np.arange(count).astype(str)),
            "type": pa.repeat(TYPE, count),
            "channel": pa.repeat(CHANNEL, count),
            "initiator": pa.repeat(Initiator.CUSTOMER.value, count),
            "item_id": pa.array(lines.item_N.astype(str)),
            "amount": pa.nulls(count, pa.float64()),
            "event_time": pa.array(_microseconds(lines), pa.timestamp("us", "UTC")),
        }
    )
    head, tail = words(pack_table(rows, vocabulary))
    names = pa.array([f"{each:09d}" for each in lines.user_N.tolist()])  # sorted as the numbers
    return pa.table({"customer": names, "head": head, "tail": tail})


def _microseconds(lines: Lines) -> np.ndarray:
    """Of each line; the last one of a user is a minute before the question."""
    places_N = np.arange(len(lines.user_N))
    ends_N = np.searchsorted(lines.user_N, lines.user_N, side="right")
    ticks_N = ASKED_TICK - (ends_N - places_N) * MINUTE
    seconds_N: np.ndarray = ticks_N // TICKS_PER_SECOND
    return seconds_N * 1_000_000


def _examples(lines: Lines, histories: list[bytes], vocabulary: Vocabulary) -> Examples:
    asked, count = lines.asked(), len(histories)
    return Examples(
        tuple(histories),
        np.full(count, vocabulary.channel_code(CHANNEL)),
        np.full(count, ASKED_TICK),
        np.full(count, vocabulary.predicted.index(TYPE)),
        item_hashes(asked.item_N.astype(str).tolist()),
        asked.user_N.astype(np.uint32),
    )
