"""The live features: what is recorded is logged, applied to the online store, and then read.

Two threads may work on it side by side: one logs, the other applies and reads. Whatever is in the
log and not in the online store, for whatever reason, is applied by a sweep.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from features.held import Held, held_interactions
from features.history.partitions import is_empty
from features.interaction import Interaction
from features.item import Item
from features.log.contract import Appended, Heard, ItemChange, Wanted, open_log
from features.online.applying import (
    Applied,
    Applier,
    Fetched,
    Lacking,
    SequentialApplier,
    SparseApplier,
)
from features.online.contract import OnlineError
from features.online.known import read_joined
from features.online.store import OnlineFeatures, Reading
from features.privacy.erasure import Erasures
from features.privacy.forgetting import note
from features.record import RECORD_BYTES, item_hash, pack
from features.settings import FeatureSettings, Home
from features.vocabulary import Vocabulary, load_vocabulary

MOST_WAITING = 100_000  # calls whose time to count is kept
REBUILD = "the online store does not hold what it should; run python -m features rebuild"

logger = logging.getLogger(__name__)


class LiveFeatures:
    """The log and the online store together."""

    def __init__(self, settings: FeatureSettings) -> None:
        """Opens both and applies what of the log the online store lacks; raises LogError."""
        self.vocabulary: Vocabulary = load_vocabulary(settings.vocabulary)
        self.online = OnlineFeatures(settings)
        self._history = Home(settings.home).history
        self._log = open_log(settings)
        self.log_id = self._log.log_id
        self.log_knows_ids = self._log.embedded
        self.erasures = Erasures(self._log.erasures())
        self._applier = self._applier_for(settings)
        self._waiting_since_s = deque[float]()  # when calls were logged that do not count yet
        self.on_visible: Callable[[float], None] = lambda seconds: None
        """Told how long each logged call took to count."""
        self._catch_up()

    def _applier_for(self, settings: FeatureSettings) -> Applier:
        online = Applied(
            self.online, self.log_id, self.vocabulary, lambda each: self.erasures.kept(each)
        )
        if self._log.embedded:
            return SequentialApplier(self._log, open_log(settings), online)
        return SparseApplier(self._log, online)

    def _catch_up(self) -> None:
        """A shared log is not read through at each start: that is what rebuild is for."""
        try:
            while self.sweep() and (self._log.embedded or self.online.is_whole(self.log_id)):
                pass
            if not self.online.is_whole(self.log_id):
                logger.warning(REBUILD)
        except OnlineError as error:
            logger.warning("the online store is away; what is logged will count later: %s", error)

    # On the log's thread.

    def log(self, batches: Sequence[Sequence[Interaction]]) -> list[Appended]:
        """Writes the checked interactions of several calls, durably; raises LogError."""
        appended = self._log.append(batches)
        self._applier.note(batches, appended)
        self._note_waiting(len(batches))
        return appended

    def upsert_items(self, items: Sequence[Item]) -> None:
        """Writes checked items durably; raises LogError."""
        self._log.upsert_items(items)
        self._applier.note_items(items, ())
        self._note_waiting(1)

    def delete_items(self, item_ids: Sequence[str]) -> list[str]:
        """Deletes items durably and gives the ids that the catalog held; raises LogError."""
        held = self._log.delete_items(item_ids)
        self._applier.note_items((), held)
        self._note_waiting(1)
        return held

    def note_erasure(self, customer_keys: Sequence[str], erased_tick: int) -> None:
        """Leaves durable tombstones of customers: see features.privacy.erasure; raises LogError."""
        self.erasures = note(self._log, customer_keys, erased_tick)

    def learn_erasures(self) -> None:
        """Reads the tombstones that others have left; raises LogError."""
        self.erasures = Erasures(self._log.erasures())

    def listen(self, wanted: Wanted, heard: Heard) -> Callable[[], None]:
        """Tells of what anybody records from now on, see Log.listen; raises LogError."""
        return self._log.listen(wanted, heard)

    def items(self) -> Iterator[Item]:
        """The whole catalog."""
        return self._log.items()

    def changed_items(self, *, after: int, limit: int) -> list[ItemChange]:
        """What has changed in the catalog behind a position, by whomever."""
        return self._log.changed_items(after=after, limit=limit)

    def last_item_change(self) -> int:
        """Up to where the catalog has been changed."""
        return self._log.last_item_change()

    def fetch(self, lacking: Lacking) -> tuple[Fetched, bool]:
        """What the log holds of what is lacking, and whether the history holds nothing."""
        return self._applier.fetch(lacking), is_empty(self._history)

    def _note_waiting(self, calls: int) -> None:
        """In a long outage the newest calls go without: the oldest says how stale reads are."""
        room = MOST_WAITING - len(self._waiting_since_s)
        self._waiting_since_s.extend([time.monotonic()] * min(calls, room))

    # On the features' thread. All raise OnlineError.

    def without_held(self, batches: Sequence[Sequence[Interaction]]) -> list[list[Interaction]]:
        """What the online store does not hold yet; all of it where the log knows by itself."""
        if self._log.embedded:
            return [list(batch) for batch in batches]
        keys = list({each.customer_key for batch in batches for each in batch})
        held = dict(zip(keys, self.online.read_histories(keys), strict=True))
        return [
            [each for each in batch if not self._is_held(each, held[each.customer_key])]
            for batch in batches
        ]

    def _is_held(self, interaction: Interaction, history: bytes) -> bool:
        record = pack(interaction, self.vocabulary)
        starts = range(0, len(history), RECORD_BYTES)
        return any(history.startswith(record, start) for start in starts)

    def apply(self) -> bool:
        """Makes what this process logged visible to reads; whether all of it is."""
        count = len(self._waiting_since_s)  # what is logged meanwhile may still be waiting
        visible = self._applier.apply()
        if visible:
            now = time.monotonic()
            for _ in range(count):
                self.on_visible(now - self._waiting_since_s.popleft())
        return visible

    def lacking(self) -> Lacking:
        """What a sweep is to fetch from the log."""
        return self._applier.lacking()

    def merge(self, fetched: Fetched, history_is_empty: bool) -> bool:
        """Applies what a sweep has fetched; whether there may be more of it.

        A store that holds the whole log is whole, if there is no history before the log.
        """
        more = self._applier.merge(fetched)
        if not more and history_is_empty and not self.online.is_whole(self.log_id):
            self._mark_if_caught_up(fetched.last_position)
        return more

    def _mark_if_caught_up(self, position: int) -> None:
        if self._applier.caught_up(position):
            self.online.mark_whole(self.log_id)

    def sweep(self) -> bool:
        """Applies what was left behind; whether there may be more. For one thread alone."""
        self.apply()
        return self.merge(*self.fetch(self.lacking()))

    def held(self, customer_key: str) -> list[Held]:
        """What decisions see of a customer, newest first. For one thread alone."""
        items = {item_hash(item.item_id): item for item in self._log.items()}
        return held_interactions(self.read([customer_key]).histories[0], self.vocabulary, items)

    def read(self, customer_keys: Sequence[str], *, ledgers: bool = False) -> Reading:
        """What is known of each customer; of a joined anonymous one, of whom it is joined to."""
        return read_joined(self.online, customer_keys, log_id=self.log_id, ledgers=ledgers)

    def erase(self, customer_keys: Sequence[str], erased_tick: int) -> int:
        """Removes all that is held on-line of customers; gives how many interactions that were."""
        held = self.online.read_histories(customer_keys)
        self.online.erase(customer_keys, erased_tick)
        return sum(len(each) for each in held) // RECORD_BYTES

    def get_item(self, item_id: str) -> Item | None:
        """One item of the catalog."""
        return self.online.read_item(item_id)

    # On any thread.

    def staleness_s(self) -> float:
        """How long the oldest interaction that was logged but not applied has been waiting."""
        try:
            return time.monotonic() - self._waiting_since_s[0]
        except IndexError:  # nothing waits
            return 0.0

    def __enter__(self) -> "LiveFeatures":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the log; everything logged stays."""
        self._applier.close()
        self._log.close()
