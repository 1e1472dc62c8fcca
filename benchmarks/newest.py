"""A data set as the ablations take it: its history packed, cut by time, and what is asked then."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import ray.data

from features.encoding import FIRST_ITEM_ROW, ItemIndex
from features.record import RECORD, unpack
from features.settings import Home
from features.vocabulary import Vocabulary, load_vocabulary
from training.data.items import KnownItems, known_items
from training.data.questions import NONE, TICKS_PER_DAY, Asking, Questions, ask, type_index
from training.data.sequences import Sequences, in_batches, read_sequences
from training.data.split import Split, take_snapshot
from training.judging.contest import CUSTOMERS_AT_ONCE
from training.judging.examples import Examples, draw
from training.settings import TrainingSettings

WHOLE = 1 << 30  # more records than any history has
BLOCKS = 16


@dataclass(frozen=True, slots=True)
class Newest:
    """What comes before the newest part, and the questions of that part."""

    vocabulary: Vocabulary
    split: Split
    known: KnownItems
    history: pa.Table  # of customer and records; also the newest part
    examples: Examples  # after whole histories

    @property
    def purchases(self) -> np.ndarray:
        """Which of the examples are purchases."""
        places = np.flatnonzero(self.examples.type_N == self.purchase)
        return places

    @property
    def purchase(self) -> int:
        """Its place among the predicted types."""
        return self.vocabulary.predicted.index("purchase")


def newest_of(home: Home, settings: TrainingSettings) -> Newest:
    """Within training.learning.cluster.cluster()."""
    vocabulary = load_vocabulary()
    snapshot = take_snapshot(home, vocabulary, test_share=settings.test_share)
    split, dataset = snapshot.split, read_sequences(home, vocabulary).materialize()
    history = pa.concat_tables(dataset.iter_batches(batch_size=None, batch_format="pyarrow"))
    known = occurring(known_items(home, before=snapshot.test_time), history, split)
    rng, types = np.random.default_rng(settings.seed), type_index(vocabulary)
    asking = Asking(
        horizon_ticks=int(settings.horizon_days * TICKS_PER_DAY),
        since_tick=split.test_tick,
        arrivals=1.0,
    )

    def next_items(sequences: Sequences) -> Questions:
        asked = ask(sequences, types, asking, rng)
        wanted_P = asked.arriving_P & (asked.item_P != 0)
        return replace(asked, type_P=np.where(wanted_P, asked.type_P, NONE))

    examples, _ = draw(
        in_batches(dataset, CUSTOMERS_AT_ONCE, split),
        next_items,
        size=settings.examples,
        max_records=WHOLE,
        seed=settings.seed,
    )
    return Newest(vocabulary, split, known, history, examples)


def dataset_of(customers: pa.ChunkedArray, history: list[bytes]) -> ray.data.Dataset:
    """Rewritten histories as training reads them; customers without records are left out."""
    kept = [at for at, records in enumerate(history) if records]
    table = pa.table(
        {
            "customer": customers.take(kept),
            "records": pa.array([history[at] for at in kept], pa.large_binary()),
        }
    ).sort_by("customer")
    step = -(-len(table) // BLOCKS)
    return ray.data.from_arrow([table[at : at + step] for at in range(0, len(table), step)])


def occurring(known: KnownItems, history: pa.Table, split: Split) -> KnownItems:
    """Without items that only the catalog has: nothing is learnt of them, and they cost."""
    columns = unpack(np.frombuffer(b"".join(history["records"].to_pylist()), RECORD))
    rows = np.unique(known.index.rows(columns.item[columns.tick < split.test_tick]))
    at = rows[rows >= FIRST_ITEM_ROW] - FIRST_ITEM_ROW
    index = ItemIndex(tuple(known.index.item_ids[each] for each in at))
    return replace(known, index=index, content_VW=known.content_VW[at])
