"""Applying: what stands in the log is made visible in the online store, at least once.

Merging is free of order and of repeats, so that anybody may apply anything at any time. Behind an
embedded log, applying follows the log in sequence. Behind a shared one, each process applies what
it has appended from its own memory and notes the position; a sweep finds the positions that
nobody has noted, because a process died or the online store was away, and applies them.

A sweep has three steps: what is lacking (of the online store), fetched (from the log), merged
(into the online store): each can be run by the thread that its side belongs to.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from features.interaction import Interaction
from features.item import Item
from features.log.contract import Appended, Entry, ItemChange, Log
from features.online.known import write_interactions
from features.online.store import OnlineFeatures
from features.vocabulary import Vocabulary

ENTRIES_A_STEP = 2000
POSITIONS_A_STEP = 100  # each is a question to a shared log
MOST_KEPT = 1000  # appends that wait in memory for the online store; a sweep finds the others

Kept = Callable[[Interaction], Interaction | None]


@dataclass(frozen=True, slots=True)
class Lacking:
    """What the online store may lack, as far as one step goes."""

    after: int  # interactions behind this position of the log,
    positions: tuple[int, ...]  # or at these
    items_after: int  # changes of items behind this position


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the log holds of it."""

    lacking: Lacking
    entries: list[Entry]
    changes: list[ItemChange]
    last_position: int  # of the log


class Applier(Protocol):
    """Makes one log visible. Methods raise OnlineError, and fetch LogError."""

    def note(self, batches: Sequence[Sequence[Interaction]], appended: Sequence[Appended]) -> None:
        """Hears of what this process has appended. On the log's thread."""

    def note_items(self, upserted: Sequence[Item], deleted: Sequence[str]) -> None:
        """Hears of what this process has changed in the catalog. On the log's thread."""

    def apply(self) -> bool:
        """Applies what was noted; whether all of it is visible. On the online store's thread."""

    def lacking(self) -> Lacking:
        """What to fetch. On the online store's thread."""

    def fetch(self, lacking: Lacking) -> Fetched:
        """Reads it. On the log's thread."""

    def merge(self, fetched: Fetched) -> bool:
        """Writes it; whether there may be more. On the online store's thread."""

    def caught_up(self, position: int) -> bool:
        """Whether all up to a position of the log is applied. On the online store's thread."""

    def close(self) -> None:
        """Lets go of what it holds open."""


class Applied:
    """What the online store holds of one log: writes more of it, and notes how far that was."""

    def __init__(
        self, store: OnlineFeatures, log_id: str, vocabulary: Vocabulary, kept: Kept
    ) -> None:
        """`kept` says what of an interaction may be written."""
        self.store, self._vocabulary, self._kept = store, vocabulary, kept
        self.interactions, self.items = f"{log_id}/interactions", f"{log_id}/items"  # streams

    def write(self, interactions: Iterable[Interaction]) -> None:
        """Merges interactions, in any order."""
        kept = [now for each in interactions if (now := self._kept(each)) is not None]
        if kept:
            write_interactions(self.store, kept, self._vocabulary)

    def write_items(self, upserted: Sequence[Item], deleted: Sequence[str]) -> None:
        """Writes and deletes items."""
        self.store.write_items(upserted)
        self.store.delete_items(deleted)

    def write_changes(self, changes: Sequence[ItemChange]) -> None:
        """Writes items as they stand now: a later round sees what has changed meanwhile."""
        if changes:
            now = {each.item_id: each.item for each in changes}
            deleted = [item_id for item_id, item in now.items() if item is None]
            self.write_items([item for item in now.values() if item is not None], deleted)
            self.store.advance(self.items, changes[-1].position)


class SequentialApplier:
    """Follows the log from where the online store has got to."""

    def __init__(self, log: Log, tail: Log, online: Applied) -> None:
        """`tail` is the same log, for the online store's thread."""
        self._log, self._tail, self._online = log, tail, online

    def note(self, batches: Sequence[Sequence[Interaction]], appended: Sequence[Appended]) -> None:
        """The log tells it all."""

    def note_items(self, upserted: Sequence[Item], deleted: Sequence[str]) -> None:
        """The log tells it all."""

    def apply(self) -> bool:
        """Applies one step of the log; whether that was all."""
        return not self.merge(_fetched(self._tail, self.lacking()))

    def lacking(self) -> Lacking:
        """Everything behind what is applied."""
        store, online = self._online.store, self._online
        after = store.applied_position(online.interactions)
        return Lacking(after, (), store.applied_position(online.items))

    def fetch(self, lacking: Lacking) -> Fetched:
        """The next step of the log."""
        return _fetched(self._log, lacking)

    def merge(self, fetched: Fetched) -> bool:
        """Writes it, and notes how far that was."""
        self._online.write_changes(fetched.changes)
        if fetched.entries:
            self._online.write(each.interaction for each in fetched.entries)
            self._online.store.advance(self._online.interactions, fetched.entries[-1].position)
        return max(len(fetched.entries), len(fetched.changes)) >= ENTRIES_A_STEP

    def caught_up(self, position: int) -> bool:
        """Whether all up to a position is applied."""
        return self._online.store.applied_position(self._online.interactions) >= position

    def close(self) -> None:
        """Closes the tail."""
        self._tail.close()


class SparseApplier:
    """Applies what this process appended from memory, and what nobody has applied from the log."""

    def __init__(self, log: Log, online: Applied) -> None:
        """What stands in the log by now and is missing counts as left behind."""
        self._log, self._online = log, online
        self._own: list[tuple[list[int], list[Interaction]]] = []
        self._own_items: list[tuple[Sequence[Item], Sequence[str]]] = []
        self._lock = threading.Lock()
        self._old_position = log.last_position()  # before that, others have had their time

    def note(self, batches: Sequence[Sequence[Interaction]], appended: Sequence[Appended]) -> None:
        """Keeps them until they are applied."""
        positions = [each.position for each in appended if each.position]
        interactions = [each for batch in batches for each in batch]
        with self._lock:
            self._own = [*self._own, (positions, interactions)][-MOST_KEPT:]

    def note_items(self, upserted: Sequence[Item], deleted: Sequence[str]) -> None:
        """Keeps them until they are applied."""
        with self._lock:
            self._own_items = [*self._own_items, (upserted, deleted)][-MOST_KEPT:]

    def apply(self) -> bool:
        """Applies what it keeps; on an error it keeps it, for the next time."""
        with self._lock:
            own, items = self._own, self._own_items
        for upserted, deleted in items:
            self._online.write_items(upserted, deleted)
        if positions := [position for each, _ in own for position in each]:
            self._online.write(each for _, interactions in own for each in interactions)
            self._online.store.note_applied(self._online.interactions, positions)
        with self._lock:
            applied = {id(each) for each in (*own, *items)}
            self._own = [each for each in self._own if id(each) not in applied]
            self._own_items = [each for each in self._own_items if id(each) not in applied]
            return not self._own

    def lacking(self) -> Lacking:
        """What was missing a sweep ago and still is."""
        store, online = self._online.store, self._online
        missing = store.missing(online.interactions, self._old_position, POSITIONS_A_STEP)
        return Lacking(0, tuple(missing), store.applied_position(online.items))

    def fetch(self, lacking: Lacking) -> Fetched:
        """The entries at these positions."""
        entries = self._log.read_at(lacking.positions) if lacking.positions else []
        changes = self._log.changed_items(after=lacking.items_after, limit=ENTRIES_A_STEP)
        return Fetched(lacking, entries, changes, self._log.last_position())

    def merge(self, fetched: Fetched) -> bool:
        """Writes them, and notes the positions, also those that the log holds no more."""
        self._online.write_changes(fetched.changes)
        positions = fetched.lacking.positions
        self._online.write(each.interaction for each in fetched.entries)
        if positions:
            self._online.store.note_applied(self._online.interactions, positions)
        if len(positions) == POSITIONS_A_STEP or len(fetched.changes) >= ENTRIES_A_STEP:
            return True
        self._old_position = fetched.last_position
        return False

    def caught_up(self, position: int) -> bool:
        """Whether nothing up to a position is missing."""
        return not self._online.store.missing(self._online.interactions, position, 1)

    def close(self) -> None:
        """Nothing is open."""


def _fetched(log: Log, lacking: Lacking) -> Fetched:
    entries = log.read(after=lacking.after, limit=ENTRIES_A_STEP)
    changes = log.changed_items(after=lacking.items_after, limit=ENTRIES_A_STEP)
    return Fetched(lacking, entries, changes, log.last_position())
