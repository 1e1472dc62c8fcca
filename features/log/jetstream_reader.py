"""Reading a stream of NATS JetStream in order, through a consumer that the server keeps."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy
from nats.js.client import JetStreamContext

ANSWER_S = 2.0  # for one answer of the server
UNREAD_S = 300.0  # after which the server forgets a reader's place
MESSAGES_A_READ = 500
BYTES_A_READ = 16 << 20


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a stream."""

    sequence: int
    subject: str
    data: bytes
    accept_time: datetime
    removal: bool = False  # whether it says that a bucket's key was deleted


class StreamReader:
    """One stream in order, through a consumer that the server keeps between reads."""

    def __init__(
        self, client: Client, jetstream: JetStreamContext, stream: str, position: int
    ) -> None:
        """Will begin behind `position`."""
        self.position = position
        self._nats, self._jetstream, self._stream = client, jetstream, stream
        self._consumer: ConsumerInfo | None = None
        self._delivered = 0  # messages, as the consumer counts them
        self._pending = 0  # messages that the consumer has left

    async def read(self) -> list[Message]:
        """The next messages; empty at the end of the stream."""
        if self._consumer is None:
            await self._begin()
        elif not self._pending:
            info = await self._jetstream.consumer_info(self._stream, str(self._consumer.name))
            self._pending = info.num_pending or 0
        return await self._fetch() if self._pending else []

    async def _begin(self) -> None:
        self._consumer = await self._jetstream.add_consumer(
            self._stream,
            ConsumerConfig(
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=self.position + 1,
                ack_policy=AckPolicy.NONE,
                inactive_threshold=UNREAD_S,
                mem_storage=True,
                num_replicas=1,
            ),
        )
        self._pending = self._consumer.num_pending or 0

    async def _fetch(self) -> list[Message]:
        """One request's messages; raises an Error where one was lost on its way."""
        wanted = min(self._pending, MESSAGES_A_READ)
        arrived: list[Msg] = []
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def take(each: Msg) -> None:
            if each.reply:
                arrived.append(each)
            if not done.done() and (len(arrived) == wanted or not each.reply):
                done.set_result(None)  # what has no reply is a status: no more will come

        inbox = self._nats.new_inbox()
        subscription = await self._nats.subscribe(inbox, cb=take)
        try:
            await self._request(wanted, inbox)
            await asyncio.wait_for(done, ANSWER_S)
        finally:
            await subscription.unsubscribe()
        return self._checked(arrived)

    async def _request(self, count: int, inbox: str) -> None:
        consumer = self._consumer.name if self._consumer else ""
        expires = int(ANSWER_S * 1e9)
        request = {"batch": count, "expires": expires, "max_bytes": BYTES_A_READ}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{consumer}"
        await self._nats.publish(subject, json.dumps(request).encode(), inbox)

    def _checked(self, arrived: Sequence[Msg]) -> list[Message]:
        if not arrived:
            raise Error(f"the server gave none of the {self._pending} next messages")
        messages = []
        for each in arrived:
            self._delivered += 1
            told, removal = each.metadata, is_removal(each.headers)
            if told.sequence.consumer != self._delivered:
                raise Error(f"message {self._delivered} of a reader was lost on its way")
            messages.append(
                Message(told.sequence.stream, each.subject, each.data, told.timestamp, removal)
            )
        self._pending = arrived[-1].metadata.num_pending
        self.position = messages[-1].sequence
        return messages


def is_removal(headers: Mapping[str, str] | None) -> bool:
    return bool(headers) and "KV-Operation" in (headers or {})
