"""The durable log grown up: a stream of NATS JetStream, and the catalog in a key-value bucket.

One message of the stream holds the interactions of one or several calls; its sequence number is
their position. Ids are not known to the log: features.live leaves out what is held on-line.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from hashlib import blake2b
from itertools import groupby
from typing import Any, TypeVar

from features.interaction import Interaction
from features.item import Item
from features.log.contract import (
    Appended,
    Entry,
    Heard,
    ItemChange,
    LogError,
    TooLargeError,
    Wanted,
)
from features.log.jetstream import FAILURES, JetStream, Message, address_of
from features.log.message import decode, encode
from features.log.nats_buckets import item_of, item_row, key_of, name_of
from features.log.nats_listening import listen
from features.record import tick
from features.tenant import of_tenant

STREAM, SUBJECT = "interplay-interactions", "interplay.interactions"
ITEMS, STATE = "interplay-items", "interplay-state"  # buckets
DRAINED, PART, ERASED = "drained", "part.", "erased."  # keys of STATE, or how they begin
ENTRIES_A_SCAN = 5000

Calls = list[list[Interaction]]
T = TypeVar("T")


class NatsLog:
    """An open log (features.log.contract.Log). One thread at a time; any number of processes."""

    embedded = False

    def __init__(self, url: str, *, replicas: int = 1, tenant: str = "") -> None:
        """Connects, and creates stream and buckets where there are none; raises LogError."""
        self._url = url
        self._stream, self._subject = of_tenant(STREAM, tenant), of_tenant(SUBJECT, tenant, ".")
        self._items, self._kept = of_tenant(ITEMS, tenant), of_tenant(STATE, tenant)
        self._read_ahead: deque[Message] = deque()
        self._place = 0  # up to where read() has given entries
        self._nats: JetStream = self._asked(lambda: JetStream(url))
        try:
            created = self._asked(
                self._nats.open_stream, self._stream, self._subject, replicas=replicas
            )
            for bucket in (self._items, self._kept):
                self._asked(self._nats.open_bucket, bucket, replicas=replicas)
        except LogError:
            self.close()
            raise
        self.log_id = blake2b(created.encode(), digest_size=16).hexdigest()

    def _asked(self, function: Callable[..., T], *values: Any, **named: Any) -> T:
        try:
            return function(*values, **named)
        except FAILURES as error:
            cause = f"{type(error).__name__} {error}".strip()
            raise LogError(
                f"the log in NATS at {address_of(self._url)} cannot be used: {cause}"
            ) from error

    def append(self, batches: Sequence[Sequence[Interaction]]) -> list[Appended]:
        """Publishes the interactions of several calls, as one message where it is not too large.

        What stands twice in these batches is written once. Raises LogError.
        """
        positions: list[int] = []
        calls = _without_repeats(batches)
        for message, some in self._messages(calls):
            new = any(some)
            at = self._asked(self._nats.publish, self._subject, message) if new else 0
            positions += [at if each else 0 for each in some]
        return [
            Appended(len(call), len(batch) - len(call), position)
            for call, batch, position in zip(calls, batches, positions, strict=True)
        ]

    def _messages(self, calls: Calls) -> list[tuple[bytes, Calls]]:
        """The calls in as few messages as the server takes; none is sent before all fit."""
        message = encode(interaction for each in calls for interaction in each)
        limit_bytes = self._nats.max_message_bytes
        if len(message) <= limit_bytes:
            return [(message, calls)]
        if len(calls) == 1:
            raise TooLargeError(len(message), limit_bytes)
        half = len(calls) // 2
        return self._messages(calls[:half]) + self._messages(calls[half:])

    def read(self, *, after: int, limit: int) -> list[Entry]:
        """About `limit` entries behind position `after`, in order and by whole messages."""
        if after != self._place:
            self._read_ahead.clear()
            self._place = after
        entries: list[Entry] = []
        while len(entries) < limit and self._look_ahead():
            message = self._read_ahead.popleft()
            entries += _entries(message)
            self._place = message.sequence
        return entries

    def _look_ahead(self) -> bool:
        if not self._read_ahead:
            self._read_ahead.extend(self._asked(self._nats.read, self._stream, after=self._place))
        return bool(self._read_ahead)

    def read_at(self, positions: Sequence[int]) -> list[Entry]:
        """The entries at these positions, in order; what was removed is passed over."""
        messages = self._asked(self._nats.messages_at, self._stream, positions)
        return [entry for each in messages if each is not None for entry in _entries(each)]

    def last_position(self) -> int:
        """The position of the newest entry; 0 for an empty log."""
        return self._asked(self._nats.last_sequence, self._stream)

    def upsert_items(self, items: Sequence[Item], *, part: str | None = None) -> None:
        """Writes items durably, one by one; `part` remembers where imported ones came from."""
        self._asked(
            self._nats.put, self._items, {key_of(each.item_id): item_row(each) for each in items}
        )
        if part is not None:
            self._asked(self._nats.put, self._kept, {PART + key_of(part): b"loaded"})

    def delete_items(self, item_ids: Sequence[str]) -> list[str]:
        """Deletes items durably, one by one; gives the ids that the catalog held."""
        keys = {each: key_of(each) for each in item_ids}
        found = self._asked(self._nats.get, self._items, keys.values())
        held = [each for each, row in zip(keys, found, strict=True) if row is not None]
        self._asked(self._nats.delete, self._items, [keys[each] for each in held])
        return held

    def get_item(self, item_id: str) -> Item | None:
        """One item of the catalog."""
        (row,) = self._asked(self._nats.get, self._items, [key_of(item_id)])
        return None if row is None else item_of(row)

    def items(self) -> Iterator[Item]:
        """The whole catalog, in the order of item ids."""
        changes = (self._change(each) for each in self._everything(self._items))
        items = [each.item for each in changes if each.item is not None]
        return iter(sorted(items, key=lambda item: item.item_id))

    def _everything(self, bucket: str) -> Iterator[Message]:
        position = 0
        while messages := self._asked(self._nats.read, f"KV_{bucket}", after=position):
            yield from messages
            position = messages[-1].sequence

    def changed_items(self, *, after: int, limit: int) -> list[ItemChange]:
        """About `limit` items written or deleted behind position `after`, in order."""
        changes: list[ItemChange] = []
        while len(changes) < limit and after < self.last_item_change():
            messages = self._asked(self._nats.read, f"KV_{self._items}", after=after)
            changes += [self._change(each) for each in messages]
            after = messages[-1].sequence if messages else self.last_item_change()
        return changes

    def _change(self, message: Message) -> ItemChange:
        item_id = name_of(message.subject.removeprefix(f"$KV.{self._items}."))
        item = None if message.removal else item_of(message.data)
        return ItemChange(message.sequence, item_id, item)

    def last_item_change(self) -> int:
        """The position of the newest change of an item; 0 where there is none."""
        return self._asked(self._nats.last_sequence, f"KV_{self._items}")

    def loaded_parts(self) -> set[str]:
        """The names given to upsert_items as `part`."""
        return {name_of(key) for key in self._state(PART)}

    def _state(self, prefix: str) -> dict[str, bytes]:
        """What the bucket of states holds under the keys that begin so, by the rest of the key."""
        start = f"$KV.{self._kept}.{prefix}"
        found = (each for each in self._everything(self._kept) if each.subject.startswith(start))
        return {each.subject.removeprefix(start): each.data for each in found}

    def drained_position(self) -> int:
        """Up to where the history holds the log."""
        (found,) = self._asked(self._nats.get, self._kept, [DRAINED])
        return int(found or 0)

    def note_drained(self, position: int) -> None:
        """Notes, durably, that the history holds the log up to `position`."""
        self._asked(self._nats.put, self._kept, {DRAINED: str(position).encode()})

    def interactions_of(
        self, customer_id: str | None, anonymous_ids: Collection[str]
    ) -> list[Interaction]:
        """Every interaction that names one of these ids, in the log's order; reads all of it."""
        found: list[Interaction] = []
        for entries in self._scan():
            for one in (each.interaction for each in entries):
                named = one.customer_id is not None and one.customer_id == customer_id
                if named or one.anonymous_id in anonymous_ids:
                    found.append(one)
        return found

    def _scan(self) -> Iterator[list[Entry]]:
        """The log as it is now, by whole messages."""
        position, end = 0, self.last_position()
        while position < end and (entries := self.read(after=position, limit=ENTRIES_A_SCAN)):
            yield entries
            position = entries[-1].position

    def note_erasure(self, name: str, tick: int) -> None:
        """Notes, durably, that nothing up to `tick` is kept of a customer; see privacy.erasure."""
        if tick > self.erasures().get(name, -1):
            self._asked(self._nats.put, self._kept, {ERASED + key_of(name): str(tick).encode()})

    def erasures(self) -> dict[str, int]:
        """The newest tick of note_erasure for each name."""
        return {name_of(key): int(tick) for key, tick in self._state(ERASED).items()}

    def listen(self, wanted: Wanted, heard: Heard) -> Callable[[], None]:
        """Tells of what anybody appends from now on; gives what ends that."""
        return self._asked(listen, self._url, self._subject, wanted, heard)

    def rewrite(
        self,
        kept: Callable[[Interaction], Interaction | None],
        *,
        progress: Callable[[int], None] = lambda count: None,
    ) -> int:
        """Takes out what `kept` gives None for, overwriting its bytes; changes what it changes.

        What is left of such a message is appended anew before the message is removed.
        """
        count = 0
        for entries in self._scan():
            for position, message in groupby(entries, key=lambda entry: entry.position):
                count += self._exchange(position, [each.interaction for each in message], kept)
            progress(len(entries))
        return count

    def _exchange(
        self,
        position: int,
        held: Sequence[Interaction],
        kept: Callable[[Interaction], Interaction | None],
    ) -> int:
        judged = [kept(each) for each in held]
        changed = sum(now is not each for now, each in zip(judged, held, strict=True))
        if changed:
            self.append([[each for each in judged if each is not None]])
            self._asked(self._nats.remove, self._stream, position)
        return changed

    def __enter__(self) -> "NatsLog":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Disconnects."""
        self._nats.close()


def _without_repeats(batches: Sequence[Sequence[Interaction]]) -> Calls:
    seen: set[tuple[str, str]] = set()
    calls: Calls = []
    for batch in batches:
        calls.append([])
        for each in batch:
            name = (each.source, each.interaction_id)
            if name not in seen:
                calls[-1].append(each)
            seen.add(name)
    return calls


def _entries(message: Message) -> list[Entry]:
    accepted, position = tick(message.accept_time), message.sequence
    try:
        return [Entry(position, each, accepted) for each in decode(message.data)]
    except ValueError as error:
        raise LogError(f"message {position} of the log cannot be read: {error}") from error
