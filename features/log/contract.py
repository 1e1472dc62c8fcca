"""The durable log: every accepted interaction in the order of acceptance, and the catalog.

A call that returns has been made durable: the log is the truth, the online store a cache of its
tail. Embedded it is a SQLite file in the home, grown up a NATS JetStream stream.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

from features.interaction import Interaction
from features.item import Item
from features.settings import FeatureSettings, Home
from features.tenant import claim

Wanted = Callable[[str | None, str | None], bool]
"""Whether anybody wants to hear of a customer_id, an anonymous_id."""
Heard = Callable[[Sequence[Interaction] | None], None]
"""Told of interactions, or by None that some may have been missed. Called on the log's thread."""


class LogError(RuntimeError):
    """The log could not be written or read; nothing of the call was acknowledged."""


class TooLargeError(LogError):
    """One call's interactions are larger than the log takes at once; nothing was written."""

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        """Names both sizes."""
        super().__init__(
            f"the interactions are {size_bytes:,} bytes; the log takes {limit_bytes:,} at once: "
            "write fewer in a call, or raise max_payload of the NATS server"
        )
        self.size_bytes, self.limit_bytes = size_bytes, limit_bytes


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of one call's interactions, and where in the log those accepted stand."""

    accepted_count: int
    duplicate_count: int
    position: int = field(default=0, compare=False)  # of the newest; 0 where none was accepted


@dataclass(frozen=True, slots=True)
class Entry:
    """One interaction with its position in the log; those of one message share it."""

    position: int
    interaction: Interaction
    accept_tick: int = 0  # when it was accepted, see features.record.tick; 0 where that is unknown


@dataclass(frozen=True, slots=True)
class ItemChange:
    """An item that was written or deleted, as it stands now; None where it is gone."""

    position: int
    item_id: str
    item: Item | None


class Log(Protocol):
    """An open log. One thread at a time; any number of processes. All methods raise LogError."""

    log_id: str  # changes when the log is lost and begun anew
    embedded: bool  # a file beside us, that knows every id it holds and is read in microseconds

    def append(self, batches: Sequence[Sequence[Interaction]]) -> list[Appended]:
        """Writes the interactions of several calls durably; each call's all or none.

        What stands twice in these batches is written once; an embedded log leaves alone whatever
        it holds. The rest are duplicates. Raises TooLargeError before it writes anything.
        """

    def read(self, *, after: int, limit: int) -> list[Entry]:
        """About `limit` entries behind position `after`, in order and by whole messages."""

    def read_at(self, positions: Sequence[int]) -> list[Entry]:
        """The entries at these positions, in order; what was removed is passed over."""

    def last_position(self) -> int:
        """The position of the newest entry; 0 for an empty log."""

    def upsert_items(self, items: Sequence[Item], *, part: str | None = None) -> None:
        """Writes items durably; `part` remembers where imported ones came from.

        On an error some may have been written: writing again is harmless.
        """

    def delete_items(self, item_ids: Sequence[str]) -> list[str]:
        """Deletes items durably; gives the ids that the catalog held."""

    def get_item(self, item_id: str) -> Item | None:
        """One item of the catalog."""

    def items(self) -> Iterator[Item]:
        """The whole catalog, in the order of item ids."""

    def changed_items(self, *, after: int, limit: int) -> list[ItemChange]:
        """Up to `limit` items written or deleted behind position `after`, in order."""

    def last_item_change(self) -> int:
        """The position of the newest change of an item; 0 where there is none."""

    def loaded_parts(self) -> set[str]:
        """The names given to upsert_items as `part`."""

    def drained_position(self) -> int:
        """Up to where the history holds the log."""

    def note_drained(self, position: int) -> None:
        """Notes, durably, that the history holds the log up to `position`."""

    def interactions_of(
        self, customer_id: str | None, anonymous_ids: Collection[str]
    ) -> list[Interaction]:
        """Every interaction that names one of these ids, in the log's order."""

    def note_erasure(self, name: str, tick: int) -> None:
        """Notes, durably, that nothing up to `tick` is kept of a customer; see privacy.erasure."""

    def erasures(self) -> dict[str, int]:
        """The newest tick of note_erasure for each name."""

    def rewrite(
        self,
        kept: Callable[[Interaction], Interaction | None],
        *,
        progress: Callable[[int], None] = lambda count: None,
    ) -> int:
        """Takes out, for good, what `kept` gives None for, and changes what it changes.

        Gives how many interactions that were. What others append meanwhile may be passed over.
        Cut off at any moment, it is simply done again.
        """

    def listen(self, wanted: Wanted, heard: Heard) -> Callable[[], None]:
        """Tells of what anybody appends from now on, on a thread of its own; gives what ends that.

        Whoever appends does not wait for it, and hardly notices where nobody listens.
        """

    def close(self) -> None:
        """Lets go of it; everything appended stays."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


def open_log(settings: FeatureSettings) -> Log:
    """The log that the settings name, created where there is none; raises LogError.

    Or TenantError, where the home is of another tenant.
    """
    claim(settings.home, settings.tenant)
    if settings.log_url:
        from features.log.nats import NatsLog  # its client is not for embedded use

        return NatsLog(settings.log_url, replicas=settings.log_replicas, tenant=settings.tenant)
    from features.log.sqlite import SqliteLog  # which imports this module

    return SqliteLog(Home(settings.home).log)
