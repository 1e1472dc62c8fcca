"""What may be kept of decisions: none of an erased customer, and none past their time."""

from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.decisions.contract import Kept, Stream, rewrite
from features.decisions.parts import JUDGED
from features.history.pruning import prune
from features.privacy.erasure import Erasures
from features.record import TICKS_PER_SECOND
from features.settings import Home


def without_erased(rows: pa.Table, erasures: Erasures) -> pa.Table:
    """Without what was decided for customers before they were erased; `rows` if that is none."""
    if not erasures.tick_by_name or not len(rows):
        return rows
    encoded = pc.dictionary_encode(rows["customer_key"], null_encoding="encode").combine_chunks()
    found = (erasures.tick_of(key) if key else None for key in encoded.dictionary.to_pylist())
    erased = np.array([-1 if each is None else each for each in found], np.int64)
    decided = rows["decide_time"].cast(pa.int64()).to_numpy() * TICKS_PER_SECOND // 1_000_000
    kept = decided > erased[encoded.indices.to_numpy()]
    return rows if kept.all() else rows.filter(pa.array(kept))


def forget_decisions(home: Home, stream: Stream | None, erasures: Erasures) -> tuple[int, set[str]]:
    """Takes out what the tombstones cover; gives how many decisions, and of which customers."""
    gone: set[str] = set()

    def kept(rows: pa.Table) -> pa.Table:
        left = without_erased(rows, erasures)
        if left is not rows:
            gone.update(erasures.covered(rows["customer_key"].unique().to_pylist()))
        return left

    return _removed(home, stream, kept), gone


def retain_decisions(home: Home, stream: Stream | None, since: datetime) -> int:
    """Takes out what was decided before a moment; gives how many decisions."""

    def kept(rows: pa.Table) -> pa.Table:
        young = pc.greater_equal(rows["decide_time"], pa.scalar(since, pa.timestamp("us", "UTC")))
        return rows if pc.all(young).as_py() is not False else rows.filter(young)

    return _removed(home, stream, kept)


def _removed(home: Home, stream: Stream | None, kept: Kept) -> int:
    """The log goes first: what is drained afterwards is kept."""
    in_log = rewrite(stream, kept) if stream is not None else 0
    return in_log + prune(home.decisions, kept, JUDGED).row_count
