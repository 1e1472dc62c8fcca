"""Drains the log into the history, so that training sees what serving recorded."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa

from features.catalog import drain_items
from features.history import without_known, write_part
from features.interaction import SCHEMA
from features.log import Entry, Log, open_log
from features.settings import FeatureSettings, Home

ENTRIES_A_PART = 100_000


def drain(
    settings: FeatureSettings, *, progress: Callable[[int], None] = lambda count: None
) -> int:
    """Writes to the history what the log has and it lacks; gives how many interactions.

    A part is named after its first position in the log and written before the position is noted:
    cut off at any moment, the next run writes the same part again, and nothing stands twice.
    """
    with open_log(settings) as log:
        home = Home(settings.home)
        drain_items(home, log)
        return _drain_interactions(home.history, log, progress)


def _drain_interactions(root: Path, log: Log, progress: Callable[[int], None]) -> int:
    count, position = 0, log.drained_position()
    while entries := log.read(after=position, limit=ENTRIES_A_PART):
        part = f"log-{log.log_id[:8]}-{entries[0].position:012d}"
        count += write_part(root, without_known(root, _table(entries), but_for=part), part=part)
        position = entries[-1].position
        log.note_drained(position)
        progress(len(entries))
    return count


def _table(entries: Sequence[Entry]) -> pa.Table:
    rows = [{n: getattr(entry.interaction, n) for n in SCHEMA.names} for entry in entries]
    for row in rows:
        row["attributes"] = list(row["attributes"].items())
    return pa.Table.from_pylist(rows, schema=SCHEMA)
