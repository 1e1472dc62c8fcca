"""Drains the log into the history, so that training sees what serving recorded."""

from collections.abc import Callable
from pathlib import Path

from features.catalog import drain_items
from features.history.partitions import append, as_table
from features.log.contract import Log, open_log
from features.privacy.erasure import Erasures
from features.settings import FeatureSettings, Home

ENTRIES_A_PART = 100_000


def drain(
    settings: FeatureSettings, *, progress: Callable[[int], None] = lambda count: None
) -> int:
    """Writes to the history what the log has and it lacks; gives how many interactions.

    The position is noted after the part is written: cut off at any moment, the next run reads the
    same entries again, and leaves out what the history holds, wherever in it that is by then.
    """
    with open_log(settings) as log:
        home = Home(settings.home)
        drain_items(home, log)
        return _drain_interactions(home.history, log, progress)


def _drain_interactions(root: Path, log: Log, progress: Callable[[int], None]) -> int:
    count, position = 0, log.drained_position()
    while entries := log.read(after=position, limit=ENTRIES_A_PART):
        rows = as_table([each.interaction for each in entries])
        kept = Erasures(log.erasures()).kept_rows(rows)  # the log may not be swept yet
        count += append(root, kept, kind="log")
        position = entries[-1].position
        log.note_drained(position)
        progress(len(entries))
    return count
