"""Forgetting: an erased customer is taken out of every place, and a receipt says what was where.

On-line and at the door it counts at once (see withdraw). The sweep then goes through the log, the
history and all side files. It looks for every tombstone, so that it also finds what a drain or an
import that ran meanwhile has put back.
"""

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.decisions.contract import Stream
from features.decisions.privacy import forget_decisions
from features.history.pruning import Pruned, prune_files, prune_history
from features.interaction import ANONYMOUS, Interaction
from features.log.contract import Log, open_log
from features.measures.samples import customers_in, forget
from features.privacy.erasure import NO_ERASURES, Erasures, erased_name
from features.privacy.scrubbing import scrub
from features.record import RECORD, moment, tick, unpack
from features.settings import FeatureSettings, Home

SHORTEST_CLEAR_ID = 4  # characters: whatever is shorter stands in any file by chance
ONLINE = "online store"
SWEEP_COMMAND = "features erase --pending"
SWEEP = f"log, history and files: python -m {SWEEP_COMMAND}"
NEXT_TRAINING = "models trained so far hold no ids, but have seen the customer: train again"


@dataclass(slots=True)
class Receipt:
    """What an erasure removed where, and what it could not."""

    erasure_time: datetime
    device_count: int = 0  # anonymous ids that went along
    removed: Counter[str] = field(default_factory=Counter)  # rows, by place
    remaining: list[str] = field(default_factory=list)  # in words, each a thing to do


@dataclass(slots=True)
class _Found:
    """Collects the ids that a sweep comes upon."""

    erasures: Erasures
    ids: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)

    def kept(self, interaction: Interaction) -> Interaction | None:
        """As Erasures.kept."""
        kept = self.erasures.kept(interaction)
        if kept is not interaction:
            self._note([interaction.customer_id], "")
            self._note([interaction.anonymous_id], ANONYMOUS)
        return kept

    def kept_rows(self, rows: pa.Table) -> pa.Table:
        """As Erasures.kept_rows."""
        kept = self.erasures.kept_rows(rows)
        if kept is not rows:
            self._note(rows["customer_id"].unique().to_pylist(), "")
            self._note(rows["anonymous_id"].unique().to_pylist(), ANONYMOUS)
        return kept

    def without_customers(self, column: str) -> Callable[[pa.Table], pa.Table]:
        """For tables without a time: what is not of an erased customer."""

        def kept_rows(rows: pa.Table) -> pa.Table:
            gone = self.erasures.covered(rows[column].unique().to_pylist())
            if not gone:
                return rows
            return rows.filter(pc.invert(pc.is_in(rows[column], pa.array(sorted(gone)))))

        return kept_rows

    def note_keys(self, customer_keys: Iterable[str]) -> None:
        """They were come upon elsewhere."""
        for key in customer_keys:
            self.keys.add(key)
            self.ids.add(key.removeprefix(ANONYMOUS))

    def _note(self, ids: Iterable[str | None], prefix: str) -> None:
        erased = self.erasures.covered(ids, prefix)
        self.ids |= erased
        self.keys |= {prefix + each for each in erased}


def erasure_tick(now: datetime, records: bytes) -> int:
    """The tick up to which nothing is kept: now, or what is held that lies a little ahead."""
    return max(tick(now), int(unpack(np.frombuffer(records, RECORD)).tick.max(initial=0)))


def note(log: Log, customer_keys: Iterable[str], erased: int) -> Erasures:
    """Leaves tombstones in the log, durably; gives all that there are."""
    for each in customer_keys:
        log.note_erasure(erased_name(each), erased)
    return Erasures(log.erasures())


def read_erasures(settings: FeatureSettings) -> Erasures:
    """All tombstones; none where there is no log yet."""
    if not settings.log_url and not Home(settings.home).log.exists():
        return NO_ERASURES
    with open_log(settings) as log:
        return Erasures(log.erasures())


def sweep(
    home: Home,
    log: Log,
    erasures: Erasures,
    receipt: Receipt,
    *,
    decisions: Stream | None = None,
    customer_keys: Iterable[str] = (),
    progress: Callable[[int], None] = lambda count: None,
) -> set[str]:
    """Takes what the tombstones cover out of the log, the history and the side files.

    Cut off at any moment, it is simply done again. Who it is stands in the rows: the tombstones do
    not tell. `decisions` is the decision log; `customer_keys` are those that are known, rows or
    not. Gives all keys that it came upon.
    """
    found = _Found(erasures, keys=set(customer_keys))
    found.ids |= {each.removeprefix(ANONYMOUS) for each in found.keys}
    receipt.removed["log"] += log.rewrite(found.kept, progress=progress)
    pruned = prune_history(home.history, found.kept_rows, progress=progress)
    _count(receipt, "history", pruned)
    truth = prune_files(home.truth, "customer_id", found.without_customers("customer_id"))
    _count(receipt, "truth of the simulation", truth)
    windows = prune_files(home.windows, "customer_key", found.without_customers("customer_key"))
    _count(receipt, "packed histories of the past", windows)
    count, customers = forget_decisions(home, decisions, erasures)
    found.note_keys(customers)
    receipt.removed["decisions"] += count
    receipt.removed["samples of decisions"] += _forget_samples(home, found)
    receipt.removed["reject files"] += _clean_rejects(home.rejects, found)
    for path in (home.log, home.online, home.samples, home.decision_log):
        clear = {each for each in found.ids if len(each) >= SHORTEST_CLEAR_ID}
        if not scrub(path, clear):
            receipt.remaining.append(f"traces in {path.name}: python -m {SWEEP_COMMAND} again")
    return found.keys


def _forget_samples(home: Home, found: _Found) -> int:
    """Also about customers of whom nothing else was held."""
    found.keys |= found.erasures.covered(customers_in(home))
    ticks = {key: found.erasures.tick_of(key) for key in sorted(found.keys)}
    return sum(
        forget(home, [key], up_to=moment(erased))
        for key, erased in ticks.items()
        if erased is not None
    )


def _count(receipt: Receipt, place: str, pruned: Pruned) -> None:
    receipt.removed[place] += pruned.row_count


def _clean_rejects(folder: Path, found: _Found) -> int:
    return sum(_clean_reject_file(path, found) for path in sorted(folder.glob("*.csv")))


def _clean_reject_file(path: Path, found: _Found) -> int:
    """Rewrites a file without the rows whose value is, or holds, an id that was erased."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    kept = [row for row in rows if not _names(row, found)]
    if len(kept) < len(rows):
        unfinished = path.with_suffix(".unfinished")
        with unfinished.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(kept)
        unfinished.replace(path)
    return len(rows) - len(kept)


def _names(row: list[str], found: _Found) -> bool:
    values = [each.strip("'\"") for each in row]
    if found.erasures.covered(values) or found.erasures.covered(values, ANONYMOUS):
        return True
    ids = [re.escape(each) for each in found.ids if len(each) >= SHORTEST_CLEAR_ID]
    return bool(ids) and bool(re.search(rf"(?<!\w)({'|'.join(ids)})(?!\w)", "\n".join(row)))
