"""The load generator's connections: gRPC, or HTTP/1.1 to servers that speak nothing else.

Both are spoken by protocol classes of our own on the bare event loop: a client library would cost
more than many of the servers that are measured. HTTP/1.1 takes as many connections as there are
calls at once, each kept alive.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import cycle
from typing import cast
from urllib.parse import urlsplit

import grpc

from benchmarks.http2 import Http2Connection
from benchmarks.load import OK, Load, LoadError

CONNECT_TIMEOUT_S = 10.0
HTTP = "http://"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
END_OF_HEAD = b"\r\n\r\n"
TIMED_OUT: int = grpc.StatusCode.DEADLINE_EXCEEDED.value[0]
CODES = {200: OK, 429: grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]}
OTHERWISE: int = grpc.StatusCode.UNAVAILABLE.value[0]

Call = Callable[[bytes], Awaitable[int]]
"""Sends a request, waits for the answer until the load's deadline, gives the status code."""


@asynccontextmanager
async def connect(load: Load) -> AsyncIterator[Call]:
    """Open connections, and the function that calls through them."""
    pool = HttpPool(load) if load.target.startswith(HTTP) else GrpcPool(load)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await pool.open()
    except (TimeoutError, OSError):
        text = f"no server at {load.target} within {CONNECT_TIMEOUT_S:g} s"
        raise LoadError(text) from None
    try:
        yield pool.call
    finally:
        await pool.close()


class GrpcPool:
    """Connections to one server, used in turn; one that the server has closed is made anew."""

    def __init__(self, load: Load) -> None:
        """Connects in open()."""
        self._host, _, port = load.target.rpartition(":")
        self._port = int(port)
        self._new = partial(Http2Connection, load.method, load.target, load.deadline_ms / 1e3)
        self._connections: list[Http2Connection] = []
        self._in_turn = cycle(range(load.connections))
        self._size = load.connections

    async def open(self) -> None:
        """All of them."""
        self._connections = [await self._connection() for _ in range(self._size)]

    async def call(self, request: bytes) -> int:
        """See Call."""
        at = next(self._in_turn)
        if self._connections[at].gone:
            try:
                self._connections[at] = await self._connection()
            except OSError:
                return OTHERWISE
        return await self._connections[at].ask(request)

    async def close(self) -> None:
        """Closes what is open."""
        for connection in self._connections:
            connection.close()

    async def _connection(self) -> Http2Connection:
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(self._new, self._host, self._port))[1]


class HttpPool:
    """Connections to one server; a call takes a free one, or opens one more."""

    def __init__(self, load: Load) -> None:
        """Connects in open()."""
        parts = urlsplit(load.target)
        self._host, self._port = str(parts.hostname), parts.port or 80
        self._head = (
            f"POST {load.method} HTTP/1.1\r\nhost: {parts.netloc}\r\n"
            "content-type: application/json\r\ncontent-length: "
        ).encode()
        self._callers, self._timeout_s = load.callers or 1, load.deadline_ms / 1e3
        self._free: list[_Connection] = []

    async def open(self) -> None:
        """One for each caller: none has to connect while it is timed."""
        self._free = [await self._connection() for _ in range(self._callers)]

    async def call(self, request: bytes) -> int:
        """See Call."""
        connection = None
        try:
            async with asyncio.timeout(self._timeout_s):
                connection = await self._take()
                head = b"%s%d%s" % (self._head, len(request), END_OF_HEAD)
                status = await connection.ask(head + request)
        except (TimeoutError, ConnectionError) as error:
            if connection is not None:
                connection.close()
            return TIMED_OUT if isinstance(error, TimeoutError) else OTHERWISE
        self._free.append(connection)
        return CODES.get(status, OTHERWISE)

    async def close(self) -> None:
        """Closes what is open."""
        for connection in self._free:
            connection.close()

    async def _take(self) -> "_Connection":
        """A free one; servers close those that were idle for long."""
        while self._free:
            connection = self._free.pop()
            if not connection.closed:
                return connection
        return await self._connection()

    async def _connection(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(_Connection, self._host, self._port))[1]


class _Connection(asyncio.Protocol):
    """One request at a time; answers must tell their content-length."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._answer: asyncio.Future[int] | None = None
        self._received = b""

    async def ask(self, request: bytes) -> int:
        """The status of the answer, once all of it is here."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    @property
    def closed(self) -> bool:
        """Whether it takes no more requests."""
        return self._transport.is_closing()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(END_OF_HEAD)
        length = LENGTH.search(head)
        if end and length is None:
            self.connection_lost(ConnectionError(f"no content-length in {head!r}"))
        elif end and length is not None and len(body) >= int(length[1]):
            self._received = b""
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(int(head.split(b" ", 2)[1]))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionError("closed by the server"))

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()
