"""Fills the online store from the history, the imported items and the log."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from features.catalog import load_items
from features.history import newest
from features.live import LiveFeatures
from features.log import open_log
from features.record import RECORD_BYTES, pack_table
from features.settings import FeatureSettings, Home
from features.vocabulary import Vocabulary

ROWS_A_WRITE = 20_000  # one transaction: other writers wait so long


@dataclass(frozen=True, slots=True)
class Materialized:
    """What was written to the online store."""

    interaction_count: int
    item_count: int


def materialize(
    settings: FeatureSettings, *, progress: Callable[[int], None] = lambda count: None
) -> Materialized:
    """Merges each customer's newest interactions into the online store; gives what it wrote.

    Merging is free of order and of repeats: it may run beside a server, twice, or be cut off.
    """
    home = Home(settings.home)
    with open_log(settings) as log:
        item_count = load_items(home, log)
    count = 0
    with LiveFeatures(settings) as live:  # applies the log, items included
        for rows in newest(
            home.history, max_records=settings.max_records, rows_a_batch=ROWS_A_WRITE
        ):
            live.online.write_records(_by_customer(rows, live.vocabulary))
            count += len(rows)
            progress(len(rows))
    return Materialized(count, item_count)


def _by_customer(rows: pa.Table, vocabulary: Vocabulary) -> dict[str, bytes]:
    keys = np.asarray(rows["customer_key"].to_pylist(), object)
    records = pack_table(rows, vocabulary).tobytes()
    starts = np.flatnonzero(keys[1:] != keys[:-1]) + 1
    ends = [*starts.tolist(), len(keys)]
    return {
        keys[start]: records[start * RECORD_BYTES : end * RECORD_BYTES]
        for start, end in zip([0, *ends[:-1]], ends, strict=True)
    }
