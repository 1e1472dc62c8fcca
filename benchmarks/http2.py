"""HTTP/2 as far as the load generator's gRPC calls need it: many at once on a connection.

gRPC's own client would cost more than many of the servers that are measured, and of their cores.
What an answer says is not read here: whoever measures has checked answers before. RFC 9113.
"""

import asyncio
from collections import deque
from struct import Struct
from typing import cast

import grpc
from hpack import Decoder, Encoder

from benchmarks.load import LoadError

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME = Struct(">IBI")  # length and kind, flags, stream
SETTING, NUMBER = Struct(">HI"), Struct(">I")
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
ACK = END_STREAM = 1
END_HEADERS = 4
PLAIN = END_STREAM | END_HEADERS  # all flags of an answer's headers: neither padded nor continued
HEADER_TABLE_SIZE, ENABLE_PUSH, MOST_STREAMS, INITIAL_WINDOW = 1, 2, 3, 4
WIDEST = (1 << 31) - 1  # window: answers are not throttled by whoever measures
USUAL_WINDOW = (1 << 16) - 1
LARGEST = USUAL_WINDOW - 5  # a request that no server has to make room for
REFUSED, CANCEL, CALM = 7, 8, 11
STATUS = b"grpc-status"
CODES: dict[str, int] = {each.name: each.value[0] for each in grpc.StatusCode}
UNAVAILABLE = CODES["UNAVAILABLE"]
RESETS = {
    CANCEL: CODES["CANCELLED"],
    CALM: CODES["RESOURCE_EXHAUSTED"],
}  # as gRPC says what an HTTP/2 error means


class Call:
    """One call, until it has ended."""

    __slots__ = ("answer", "body", "stream", "timer")

    def __init__(self, body: bytes, answer: "asyncio.Future[int]") -> None:
        """Has no stream until it is sent."""
        self.body, self.answer, self.stream = body, answer, 0
        self.timer: asyncio.TimerHandle | None = None


class Http2Connection(asyncio.Protocol):
    """A connection, once it is made; calls that the server has no room for yet wait here."""

    def __init__(self, method: str, authority: str, timeout_s: float) -> None:
        """Every call is of this method, and has so long."""
        self._loop, self._timeout_s = asyncio.get_running_loop(), timeout_s
        headers = {
            ":method": "POST",
            ":scheme": "http",
            ":path": method,
            ":authority": authority,
            "content-type": "application/grpc",
            "te": "trailers",
            "grpc-timeout": f"{max(1, round(timeout_s * 1e3))}m",
        }
        encoder = Encoder()
        # The first call fills the server's table; all later ones refer to what it holds.
        self._head, self._heads = (encoder.encode(list(headers.items())) for _ in range(2))
        self._codes: dict[bytes, int] = {}  # by headers: with no table, alike is the same
        self._received = b""
        self._unsaid = 0  # bytes of answers that have not been given back to the window
        # The last, and how many there may be at once: none before the server has said so.
        self._stream, self._streams = -1, 0
        self._window, self._each_window = USUAL_WINDOW, USUAL_WINDOW
        self._waiting: deque[Call] = deque()
        self._calls: dict[int, Call] = {}
        self.gone = False  # whether it takes no more calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Says how it is going to be."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        said = {HEADER_TABLE_SIZE: 0, ENABLE_PUSH: 0, INITIAL_WINDOW: WIDEST}
        settings = b"".join(SETTING.pack(*each) for each in said.items())
        widening = NUMBER.pack(WIDEST - USUAL_WINDOW)
        self._transport.write(
            PREFACE + _frame(SETTINGS, settings) + _frame(WINDOW_UPDATE, widening)
        )

    def ask(self, request: bytes) -> "asyncio.Future[int]":
        """The status code of a call that begins now; raises LoadError."""
        if len(request) > LARGEST:
            raise LoadError(f"a request has {len(request)} bytes; {LARGEST} can be sent at once")
        call = Call(b"\0" + NUMBER.pack(len(request)) + request, self._loop.create_future())
        if self.gone:
            call.answer.set_result(UNAVAILABLE)
            return call.answer
        call.timer = self._loop.call_later(self._timeout_s, self._expire, call)
        self._waiting.append(call)
        self._send()
        return call.answer

    def _send(self) -> None:
        while self._waiting and len(self._calls) < self._streams:
            call = self._waiting[0]
            size = len(call.body)
            if size > min(self._window, self._each_window):
                return
            self._waiting.popleft()
            if call.answer.done():
                continue
            self._window -= size
            self._stream += 2
            call.stream = self._stream
            self._calls[call.stream] = call
            headers = _frame(HEADERS, self._head, END_HEADERS, call.stream)
            self._head = self._heads
            self._transport.write(headers + _frame(DATA, call.body, END_STREAM, call.stream))

    def _expire(self, call: Call) -> None:
        if call.stream:
            self._transport.write(_frame(RST_STREAM, NUMBER.pack(CANCEL), 0, call.stream))
            del self._calls[call.stream]
        call.answer.set_result(CODES["DEADLINE_EXCEEDED"])
        self._send()

    def data_received(self, data: bytes) -> None:
        """Whole frames of it count; the rest waits for more."""
        data = self._received + data
        at = 0
        while len(data) >= at + FRAME.size:
            head, flags, stream = FRAME.unpack_from(data, at)
            begin = at + FRAME.size
            end = begin + (head >> 8)
            if end > len(data):
                break
            self._take(head & 255, flags, stream, data[begin:end])
            at = end
        self._received = data[at:]
        self._send()

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == DATA:
            self._note(len(payload))
        elif kind == HEADERS:
            if flags & ~PLAIN or not flags & END_HEADERS:
                raise LoadError(f"padded or continued headers, flags {flags:#x}, cannot be read")
            if flags & END_STREAM:
                self._end(stream, self._code(payload))
        elif kind == RST_STREAM:
            self._reset(stream, NUMBER.unpack(payload)[0])
        elif kind == SETTINGS and not flags & ACK:
            self._settle(dict(SETTING.iter_unpack(payload)))
        elif kind == PING and not flags & ACK:
            self._transport.write(_frame(PING, payload, ACK))
        elif kind == GOAWAY:
            self.gone = True
            last = NUMBER.unpack_from(payload)[0] & WIDEST
            self._lose([each for each in self._calls if each > last])
        elif kind == WINDOW_UPDATE and not stream:
            self._window += NUMBER.unpack(payload)[0]

    def _note(self, size: int) -> None:
        self._unsaid += size
        if self._unsaid > WIDEST // 2:
            self._transport.write(_frame(WINDOW_UPDATE, NUMBER.pack(self._unsaid)))
            self._unsaid = 0

    def _settle(self, settings: dict[int, int]) -> None:
        self._streams = settings.get(MOST_STREAMS, self._streams or WIDEST)
        self._each_window = settings.get(INITIAL_WINDOW, self._each_window)
        self._transport.write(_frame(SETTINGS, b"", ACK))

    def _code(self, block: bytes) -> int:
        if block not in self._codes:
            decoder = Decoder()
            decoder.header_table_size = 0
            said = dict(decoder.decode(block, raw=True)).get(STATUS, CODES["UNKNOWN"])
            self._codes[block] = int(said)
        return self._codes[block]

    def _reset(self, stream: int, error: int) -> None:
        if error == REFUSED and stream in self._calls:  # unseen: sent again, as gRPC would
            call = self._calls.pop(stream)
            call.stream = 0
            self._waiting.append(call)
        else:
            self._end(stream, RESETS.get(error, CODES["INTERNAL"]))

    def _end(self, stream: int, code: int) -> None:
        call = self._calls.pop(stream, None)
        if call is not None:
            _finish(call, code)

    def _lose(self, streams: list[int]) -> None:
        for stream in streams:
            self._end(stream, UNAVAILABLE)
        while self._waiting:
            _finish(self._waiting.popleft(), UNAVAILABLE)

    def connection_lost(self, error: Exception | None) -> None:
        """Nobody waits for ever."""
        self.gone = True
        self._lose(list(self._calls))

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()


def _finish(call: Call, code: int) -> None:
    if call.timer is not None:
        call.timer.cancel()
    if not call.answer.done():
        call.answer.set_result(code)


def _frame(kind: int, payload: bytes, flags: int = 0, stream: int = 0) -> bytes:
    return FRAME.pack(len(payload) << 8 | kind, flags, stream) + payload
