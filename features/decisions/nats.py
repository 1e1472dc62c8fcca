"""The decision log grown up: a stream of NATS JetStream, beside that of the interactions."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from features.decisions.contract import MAX_BYTES, Logged
from features.log.contract import LogError, TooLargeError
from features.log.jetstream import FAILURES, JetStream, address_of
from features.record import tick
from features.tenant import of_tenant

STREAM, SUBJECT = "interplay-decisions", "interplay.decisions"

T = TypeVar("T")


class NatsStream:
    """An open decision log (features.decisions.contract.Stream)."""

    def __init__(
        self, url: str, *, replicas: int = 1, tenant: str = "", max_bytes: int = MAX_BYTES
    ) -> None:
        """Connects, and creates the stream where there is none; raises LogError."""
        self._url = url
        self._stream, self._subject = of_tenant(STREAM, tenant), of_tenant(SUBJECT, tenant, ".")
        self._nats: JetStream = self._asked(lambda: JetStream(url))
        try:
            names = self._stream, self._subject
            self._asked(self._nats.open_stream, *names, replicas=replicas, max_bytes=max_bytes)
        except LogError:
            self.close()
            raise

    def _asked(self, function: Callable[..., T], *values: Any, **named: Any) -> T:
        try:
            return function(*values, **named)
        except FAILURES as error:
            cause = f"{type(error).__name__} {error}".strip()
            text = f"the decision log in NATS at {address_of(self._url)} cannot be used: {cause}"
            raise LogError(text) from error

    def append(self, message: bytes) -> None:
        """Publishes a message; the server drops the oldest ones where there are too many."""
        if len(message) > self._nats.max_message_bytes:
            raise TooLargeError(len(message), self._nats.max_message_bytes)
        self._asked(self._nats.publish, self._subject, message)

    def read(self, *, after: int, limit: int) -> list[Logged]:
        """Some messages behind a position, in order: as many as one request gives."""
        found = self._asked(self._nats.read, self._stream, after=after)
        return [Logged(each.sequence, tick(each.accept_time), each.data) for each in found]

    def ends(self) -> tuple[int, int]:
        """The positions of the oldest and of the newest message; (0, 0) where there was none."""
        return self._asked(self._nats.ends, self._stream)

    def remove(self, positions: Sequence[int]) -> None:
        """Takes messages out, overwriting their bytes."""
        for each in positions:
            self._asked(self._nats.remove, self._stream, each)

    def remove_up_to(self, position: int) -> None:
        """Takes out everything up to a position."""
        self._asked(self._nats.remove_up_to, self._stream, position)

    def __enter__(self) -> "NatsStream":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Disconnects."""
        self._nats.close()
