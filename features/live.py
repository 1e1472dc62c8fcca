"""The live features: what is recorded is logged, applied to the online store, and then read.

Two threads may work on it side by side: one logs, the other applies and
reads. Whatever is in the log and not in the online store, for whatever reason,
is applied by the next apply().
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence

from features.erasure import Erasures
from features.forgetting import note
from features.held import Held, held_interactions
from features.interaction import Interaction
from features.item import Item
from features.log import Appended, open_log
from features.record import RECORD_BYTES, item_hash, pack
from features.settings import FeatureSettings
from features.store import OnlineFeatures
from features.vocabulary import Vocabulary, load_vocabulary

ENTRIES_A_WRITE = 2000


class LiveFeatures:
    """The log and the online store together."""

    def __init__(self, settings: FeatureSettings) -> None:
        """Opens both and applies whatever of the log the online store lacks."""
        self.vocabulary: Vocabulary = load_vocabulary(settings.vocabulary)
        self._max_records = settings.max_records
        self.online = OnlineFeatures(settings)
        self._log = open_log(settings)  # for the thread that writes the log
        self._tail = open_log(settings)  # for the thread that applies it
        self.erasures = Erasures(self._log.erasures())
        self._waiting_since_s: float | None = None
        self._logged_count = 0  # calls that logged something
        self.apply()

    # On the log's thread.

    def log(self, batches: Sequence[Sequence[Interaction]]) -> list[Appended]:
        """Writes the checked interactions of several calls, durably; raises LogError."""
        appended = self._log.append(batches)
        self._note_waiting()
        return appended

    def upsert_items(self, items: Sequence[Item]) -> None:
        """Writes checked items durably; raises LogError."""
        self._log.upsert_items(items)
        self._note_waiting()

    def delete_items(self, item_ids: Sequence[str]) -> list[str]:
        """Deletes items durably and gives the ids that the catalog held; raises LogError."""
        held = self._log.delete_items(item_ids)
        self._note_waiting()
        return held

    def note_erasure(self, customer_keys: Sequence[str], erased_tick: int) -> None:
        """Leaves durable tombstones of customers: see features.erasure; raises LogError."""
        self.erasures = note(self._log, customer_keys, erased_tick)

    def learn_erasures(self) -> None:
        """Reads the tombstones that others have left; raises LogError."""
        self.erasures = Erasures(self._log.erasures())

    def items(self) -> Iterator[Item]:
        """The whole catalog."""
        return self._log.items()

    def _note_waiting(self) -> None:
        self._logged_count += 1
        if self._waiting_since_s is None:
            self._waiting_since_s = time.monotonic()

    # On the features' thread.

    def apply(self) -> int:
        """Makes everything logged visible to reads; gives how many entries it applied."""
        logged_count, began_s = self._logged_count, time.monotonic()
        count = self._apply_items() + self._apply_interactions()
        # What was logged meanwhile may still be waiting.
        self._waiting_since_s = None if logged_count == self._logged_count else began_s
        return count

    def _apply_interactions(self) -> int:
        stream = f"{self._tail.log_id}/interactions"
        count, position = 0, self.online.applied_position(stream)
        while entries := self._tail.read(after=position, limit=ENTRIES_A_WRITE):
            records: dict[str, bytes] = defaultdict(bytes)
            for entry in entries:
                records[entry.interaction.customer_key] += pack(entry.interaction, self.vocabulary)
            self.online.write_records(records)
            count, position = count + len(entries), entries[-1].position
            self.online.advance(stream, position)
        return count

    def _apply_items(self) -> int:
        stream = f"{self._tail.log_id}/items"
        count, position = 0, self.online.applied_position(stream)
        while changed := self._tail.changed_items(after=position, limit=ENTRIES_A_WRITE):
            now = {item_id: self._tail.get_item(item_id) for _, item_id in changed}
            self.online.write_items([item for item in now.values() if item is not None])
            self.online.delete_items([each for each, item in now.items() if item is None])
            count, position = count + len(changed), changed[-1][0]
            self.online.advance(stream, position)
        return count

    def held(self, customer_key: str) -> list[Held]:
        """What decisions see of a customer, newest first, with the items of the catalog."""
        items = {item_hash(item.item_id): item for item in self._tail.items()}
        return held_interactions(self.read([customer_key])[0], self.vocabulary, items)

    def read(self, customer_keys: Sequence[str]) -> list[bytes]:
        """Each customer's packed records, oldest first; b"" where nothing is held."""
        return self.online.read_histories(customer_keys)

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
        since = self._waiting_since_s
        return 0.0 if since is None else time.monotonic() - since

    def __enter__(self) -> "LiveFeatures":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the log; everything logged stays."""
        self._log.close()
        self._tail.close()
