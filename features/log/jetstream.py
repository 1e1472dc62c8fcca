"""NATS JetStream for blocking callers: streams, reading them in bulk, and key-value buckets.

Every wait is bounded; a lost connection is made again in the background, and refused at once
meanwhile. Whatever fails is an OSError of Python or an Error of the NATS client: see FAILURES.
"""

import asyncio
import logging
import re
import uuid
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import ConnectionReconnectingError, Error, SlowConsumerError
from nats.js.api import DiscardPolicy, Header, KeyValueConfig, StreamConfig
from nats.js.errors import NotFoundError

from features.log.jetstream_reader import ANSWER_S, Message, StreamReader, is_removal
from features.log.loop_thread import LoopThread

CONNECT_S = 3.0
CALL_S = 10.0  # for one call of ours, which may take several
RECONNECT_S = 0.2
PUBLISH_ATTEMPTS = 2
REQUESTS_AT_ONCE = 128
MOST_UNHEARD, MOST_UNHEARD_BYTES = 10_000, 32 << 20  # messages that wait to be told
HEADER_BYTES = 256  # what the server adds up besides the payload, at most
FAILURES = (Error, OSError, TimeoutError)

logger = logging.getLogger(__name__)
T = TypeVar("T")


def address_of(url: str) -> str:
    """A URL without user and password: for logs and errors."""
    return re.sub(r"//[^/,]*@", "//", url)


class JetStream:
    """A connection. One thread at a time."""

    def __init__(self, url: str) -> None:
        """Connects to one of the servers; raises one of FAILURES."""
        self._url, self._name = url, address_of(url)
        self._thread = LoopThread("nats")
        self._nats: Client = Client()
        self._readers: dict[str, StreamReader] = {}
        self._missed: Callable[[], None] | None = None
        try:
            self._thread.run(self._connect(), within_s=CONNECT_S)
        except FAILURES:
            self.close()
            raise

    async def _connect(self) -> None:
        await self._nats.connect(
            self._url.split(","),
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT_S,  # type: ignore[arg-type]
            error_cb=self._note_error,
            disconnected_cb=self._note_loss,
            reconnected_cb=self._note_return,
        )
        self._jetstream = self._nats.jetstream(timeout=ANSWER_S)

    async def _note_loss(self) -> None:
        if not self._nats.is_closed:
            logger.warning("the connection to NATS at %s is lost; connecting again", self._name)

    async def _note_return(self) -> None:
        if self._missed is not None:
            self._missed()

    async def _note_error(self, error: Exception) -> None:
        """The client tells of each vain attempt to connect; calls tell their callers anyway."""
        logger.debug("NATS: %s", error)
        if isinstance(error, SlowConsumerError) and self._missed is not None:
            self._missed()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._thread.run(coroutine, within_s=CALL_S)

    def _ask(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Refuses at once what the client would keep for a later connection."""
        if not self._nats.is_connected:
            coroutine.close()
            raise ConnectionReconnectingError
        return self._run(coroutine)

    def _ask_all(self, coroutines: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
        answers: list[T] = []
        for at in range(0, len(coroutines), REQUESTS_AT_ONCE):
            answers += self._ask(_all(coroutines[at : at + REQUESTS_AT_ONCE]))
        return answers

    @property
    def max_message_bytes(self) -> int:
        """How large a message the server takes."""
        return int(self._nats.max_payload) - HEADER_BYTES

    def open_stream(
        self, name: str, subject: str, *, replicas: int, max_bytes: int | None = None
    ) -> str:
        """Creates a stream where there is none; gives when it was created.

        One with a size drops its oldest messages for new ones, any other refuses new ones.
        """
        config = StreamConfig(
            name=name,
            subjects=[subject],
            num_replicas=replicas,
            max_bytes=max_bytes,
            discard=DiscardPolicy.OLD if max_bytes else DiscardPolicy.NEW,
        )
        return self._ask(self._open_stream(config))

    async def _open_stream(self, config: StreamConfig) -> str:
        try:
            info = await self._jetstream.stream_info(str(config.name))
        except NotFoundError:
            info = await self._jetstream.add_stream(config)
        return str(info.created)

    def open_bucket(self, name: str, *, replicas: int) -> None:
        """Creates a bucket that keeps the newest value of each key, where there is none."""
        self._ask(self._open_bucket(name, replicas))

    async def _open_bucket(self, name: str, replicas: int) -> None:
        try:
            await self._jetstream.key_value(name)
        except NotFoundError:
            await self._jetstream.create_key_value(KeyValueConfig(bucket=name, replicas=replicas))

    def publish(self, subject: str, data: bytes) -> int:
        """Adds a message, once, however often that is tried; gives its sequence number."""
        headers = {Header.MSG_ID.value: uuid.uuid4().hex}
        for _ in range(PUBLISH_ATTEMPTS - 1):
            try:
                return self._ask(self._publish(subject, data, headers))
            except TimeoutError:
                logger.warning("NATS at %s is slow to answer; publishing again", self._name)
        return self._ask(self._publish(subject, data, headers))

    async def _publish(self, subject: str, data: bytes, headers: dict[str, str]) -> int:
        return int((await self._jetstream.publish(subject, data, headers=headers)).seq)

    def last_sequence(self, stream: str) -> int:
        """The sequence number of the newest message that there ever was."""
        return int(self._ask(self._jetstream.stream_info(stream)).state.last_seq)

    def ends(self, stream: str) -> tuple[int, int]:
        """The sequence numbers of the oldest message there is and of the newest there ever was."""
        state = self._ask(self._jetstream.stream_info(stream)).state
        return int(state.first_seq), int(state.last_seq)

    def messages_at(self, stream: str, sequences: Sequence[int]) -> list[Message | None]:
        """The messages with these sequence numbers; None for one that was removed."""
        return self._ask_all([self._message_at(stream, each) for each in sequences])

    async def _message_at(self, stream: str, sequence: int) -> Message | None:
        try:
            found = await self._jetstream.get_msg(stream, sequence)
        except NotFoundError:
            return None
        assert found.subject is not None and found.time is not None
        return Message(sequence, found.subject, found.data or b"", found.time)

    def remove(self, stream: str, sequence: int) -> None:
        """Takes a message out of a stream, overwriting its bytes."""
        self._ask(self._jetstream.delete_msg(stream, sequence))

    def remove_up_to(self, stream: str, sequence: int) -> None:
        """Takes all messages up to a sequence number out of a stream."""
        self._ask(self._jetstream.purge_stream(stream, seq=sequence + 1))

    def read(self, stream: str, *, after: int) -> list[Message]:
        """The next messages behind `after`; cheap where the last read of the stream ended there."""
        reader = self._readers.pop(stream, None)
        if reader is None or reader.position != after:
            reader = StreamReader(self._nats, self._jetstream, stream, after)
        messages = self._ask(reader.read())
        self._readers[stream] = reader  # one that failed has lost its place
        return messages

    def put(self, bucket: str, values: Mapping[str, bytes]) -> None:
        """Writes values, one by one."""
        subjects = {f"$KV.{bucket}.{key}": value for key, value in values.items()}
        self._ask_all([self._publish(*each, {}) for each in subjects.items()])

    def delete(self, bucket: str, keys: Iterable[str]) -> None:
        """Deletes keys, one by one."""
        headers = {"KV-Operation": "DEL"}
        self._ask_all([self._publish(f"$KV.{bucket}.{key}", b"", headers) for key in keys])

    def get(self, bucket: str, keys: Iterable[str]) -> list[bytes | None]:
        """The values of keys; None for a key that is not held."""
        return self._ask_all([self._get(bucket, each) for each in keys])

    async def _get(self, bucket: str, key: str) -> bytes | None:
        try:
            found = await self._jetstream.get_msg(f"KV_{bucket}", subject=f"$KV.{bucket}.{key}")
        except NotFoundError:
            return None
        return None if is_removal(found.headers) else found.data or b""

    def listen(self, subject: str, heard: Callable[[bytes | None], None]) -> None:
        """Tells of each message, on the connection's thread, from now on until close().

        None says that some may have been missed: the connection was lost, or this was too slow.
        """

        async def take(each: Msg) -> None:
            try:
                heard(each.data)
            except ValueError as error:
                logger.error("a message on %s cannot be read: %s", subject, error)

        self._missed = partial(heard, None)
        subscribing = self._nats.subscribe(
            subject,
            cb=take,
            pending_msgs_limit=MOST_UNHEARD,
            pending_bytes_limit=MOST_UNHEARD_BYTES,
        )
        self._ask(subscribing)
        self._ask(self._nats.flush())  # until it answers, the server may not have read that

    def close(self) -> None:
        """Disconnects."""
        self._run(self._nats.close())
        self._thread.close()


async def _all(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    return await asyncio.gather(*coroutines)
