"""Retention: what is older than its type may be is removed from the log, history and on-line.

How long each type is kept stands in the vocabulary (retention_days); it counts from event time.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.history.pruning import prune_files, prune_history
from features.interaction import Interaction
from features.log.contract import Log
from features.measures.samples import forget_past
from features.privacy.aging import Aging
from features.record import EPOCH, tick
from features.settings import Home
from features.vocabulary import Vocabulary


@dataclass(frozen=True)
class Retention:
    """The moment before which interactions of each type are past their time."""

    now: datetime
    vocabulary: Vocabulary

    def cutoff(self, type_name: str) -> datetime:
        """For a type that is no longer declared, the vocabulary's default counts."""
        declared = self.vocabulary.types.get(type_name)
        days = declared.retention_days if declared else self.vocabulary.retention_days
        return self.now - timedelta(days=days)

    def kept(self, interaction: Interaction) -> Interaction | None:
        """The interaction, or None if it is past its time."""
        return None if interaction.event_time < self.cutoff(interaction.type) else interaction

    def kept_rows(self, rows: pa.Table) -> pa.Table:
        """The same for rows of SCHEMA; gives `rows` itself if all of them are kept."""
        types = pc.dictionary_encode(rows["type"]).combine_chunks()
        if not len(rows):
            return rows
        cutoffs = [self.cutoff(each) for each in types.dictionary.to_pylist()]
        first_us = np.array([(each - EPOCH) // timedelta(microseconds=1) for each in cutoffs])
        event_us = rows["event_time"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy()
        kept = event_us >= first_us[types.indices.to_numpy()]
        return rows if kept.all() else rows.filter(pa.array(kept))

    @property
    def aging(self) -> Aging:
        """The same for packed records."""
        types = self.vocabulary.types
        default = self.now - timedelta(days=self.vocabulary.retention_days)
        return Aging({types[n].code: tick(self.cutoff(n)) for n in types}, tick(default))

    def kept_windows(self, rows: pa.Table) -> pa.Table:
        """Of packed histories those that hold no record past its time."""
        kept = [not self.aging.past(each or b"") for each in rows["records"].to_pylist()]
        return rows if all(kept) else rows.filter(pa.array(kept))


def retain_offline(
    home: Home,
    log: Log,
    retention: Retention,
    *,
    progress: Callable[[int], None] = lambda count: None,
) -> Counter[str]:
    """Removes what is past its time from log, history and files; gives how many rows, by place.

    The log goes first: what a drain writes afterwards is young enough. Cut off at any moment, it
    is simply done again.
    """
    removed: Counter[str] = Counter()
    removed["log"] = log.rewrite(retention.kept, progress=progress)
    pruned = prune_history(home.history, retention.kept_rows, progress=progress)
    removed["history"] = pruned.row_count
    windows = prune_files(home.windows, "records", retention.kept_windows)
    removed["packed histories of the past"] = windows.row_count
    removed["samples of decisions"] = forget_past(home, retention.aging)
    return removed
