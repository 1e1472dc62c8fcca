"""Fills or rebuilds the online store: imported items, the history's newest rows, and the log.

Merging is free of order and of repeats: this may run beside servers, twice, or be cut off.
"""

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from features.catalog import load_items
from features.history.partitions import is_empty, newest, scan
from features.identity import aliases_in
from features.interaction import OPT_IN, OPT_OUT
from features.log.contract import Log, open_log
from features.online.applying import Applied
from features.online.contract import OnlineError
from features.online.known import join
from features.online.store import OnlineFeatures
from features.privacy.consent import consent_records
from features.privacy.erasure import Erasures
from features.record import RECORD_BYTES, pack_table
from features.settings import FeatureSettings, Home
from features.table_check import interaction_of
from features.vocabulary import Vocabulary, load_vocabulary

ROWS_A_WRITE = 5_000  # at once: other readers and writers of the online store wait so long

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Materialized:
    """What was written to the online store."""

    interaction_count: int
    item_count: int


@dataclass(frozen=True, slots=True)
class _Filling:
    """An online store that is being filled, and with what."""

    applied: Applied
    log: Log
    history: Path
    vocabulary: Vocabulary
    erasures: Erasures
    progress: Progress


def materialize(
    settings: FeatureSettings,
    *,
    whole_log: bool = False,
    progress: Progress = lambda count: None,
) -> Materialized:
    """Writes the history, and what of the log was not applied; gives how much that was.

    With `whole_log` it trusts no note of what was applied. The store is whole then. Raises
    LogError, and OnlineError, also where the store was lost meanwhile.
    """
    home, vocabulary = Home(settings.home), load_vocabulary(settings.vocabulary)
    with open_log(settings) as log:
        load_items(home, log)
        erasures = Erasures(log.erasures())
        applied = Applied(OnlineFeatures(settings), log.log_id, vocabulary, erasures.kept)
        filling = _Filling(applied, log, home.history, vocabulary, erasures, progress)
        began = _mark_begin(filling)
        item_count = _fill_items(filling, whole_log)
        count = _fill_from_history(filling, settings.max_records)
        count += _fill_from_log(filling, whole_log)
        _mark_end(filling, began)
    return Materialized(count, item_count)


def _mark_begin(filling: _Filling) -> int:
    """Leaves a mark that goes when the store is lost."""
    began = time.time_ns() // 1_000_000
    filling.applied.store.advance(f"{filling.log.log_id}/filled", began)
    return began


def _mark_end(filling: _Filling, began: int) -> None:
    store = filling.applied.store
    if store.applied_position(f"{filling.log.log_id}/filled") < began:
        raise OnlineError("the online store was lost while it was being filled: run it again")
    store.mark_whole(filling.log.log_id)


def _fill_items(filling: _Filling, whole_log: bool) -> int:
    applied, count = filling.applied, 0
    position = 0 if whole_log else applied.store.applied_position(applied.items)
    while changes := filling.log.changed_items(after=position, limit=ROWS_A_WRITE):
        applied.write_changes(changes)
        position, count = changes[-1].position, count + len(changes)
    return count


def _fill_from_history(filling: _Filling, max_records: int) -> int:
    """Each customer's newest interactions, then what was said of consent, then the joins."""
    store, root = filling.applied.store, filling.history
    count = 0
    for rows in newest(root, max_records=max_records, rows_a_batch=ROWS_A_WRITE):
        kept = filling.erasures.kept_rows(rows)
        if len(kept):
            store.write_records(_by_customer(kept, filling.vocabulary))
        count += len(kept)
        filling.progress(len(rows))
    _fill_consents(filling)
    aliases = aliases_in(root)
    for some in aliases.to_batches(max_chunksize=ROWS_A_WRITE):
        keys, customers = some["alias"].to_pylist(), some["customer_key"].to_pylist()
        join(store, dict(zip(keys, customers, strict=True)))
    return count


def _fill_consents(filling: _Filling) -> None:
    if is_empty(filling.history):
        return
    with duckdb.connect() as database:
        reader = database.sql(
            f"SELECT * FROM {scan(filling.history)} WHERE type IN ('{OPT_IN}', '{OPT_OUT}')"
        ).to_arrow_reader(ROWS_A_WRITE)
        for rows in reader:
            consents: dict[str, bytes] = defaultdict(bytes)
            for row in filling.erasures.kept_rows(pa.Table.from_batches([rows])).to_pylist():
                each = interaction_of(row)
                consents[each.customer_key] += consent_records(each, filling.vocabulary)
            filling.applied.store.write_consents(consents)


def _fill_from_log(filling: _Filling, whole_log: bool) -> int:
    applied, log = filling.applied, filling.log
    position = 0 if whole_log else applied.store.applied_position(applied.interactions)
    count, end = 0, log.last_position()
    while entries := log.read(after=position, limit=ROWS_A_WRITE):
        applied.write(each.interaction for each in entries)
        position = entries[-1].position
        applied.store.advance(applied.interactions, position)
        count += len(entries)
        filling.progress(len(entries))
    applied.store.advance(applied.interactions, max(position, end))  # the last may be removed
    return count


def _by_customer(rows: pa.Table, vocabulary: Vocabulary) -> dict[str, bytes]:
    keys = np.asarray(rows["customer_key"].to_pylist(), object)
    records = pack_table(rows, vocabulary).tobytes()
    starts = np.flatnonzero(keys[1:] != keys[:-1]) + 1
    ends = [*starts.tolist(), len(keys)]
    return {
        keys[start]: records[start * RECORD_BYTES : end * RECORD_BYTES]
        for start, end in zip([0, *ends[:-1]], ends, strict=True)
    }
