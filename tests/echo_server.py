"""A server that echoes, refuses, stands still once, or says nothing, on loopback."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc

STALL_S = 0.3


@dataclass
class Server:
    """What the server saw: each method's requests, and from when to when it stood still."""

    target: str = ""
    options: tuple[tuple[str, int], ...] = ()
    seen: list[bytes] = field(default_factory=list)
    stalled: list[tuple[float, float]] = field(default_factory=list)

    async def echo(self, request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        """Answers, but for one request that it refuses."""
        self.seen.append(request)
        if request == b"refuse":
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")
        return request

    async def stall_once(self, request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        """On its first call it holds up everybody."""
        if not self.stalled:
            since_time = time.monotonic()
            time.sleep(STALL_S)  # noqa: ASYNC251  the event loop is to stand still
            self.stalled.append((since_time, time.monotonic()))
        return request

    async def silence(self, request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        """Never answers."""
        await asyncio.Event().wait()
        return request

    async def serve(self, started: threading.Event, ended: asyncio.Event) -> None:
        """Lives until `ended`."""
        server = grpc.aio.server(options=self.options)
        methods = {"Echo": self.echo, "StallOnce": self.stall_once, "Silence": self.silence}
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()
        }
        handler = grpc.method_handlers_generic_handler("test.Test", handlers)
        server.add_generic_rpc_handlers((handler,))
        self.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        started.set()
        await ended.wait()
        await server.stop(None)


@contextmanager
def serving(**options: int) -> Iterator[Server]:
    server, started = Server(options=tuple(options.items())), threading.Event()
    with asyncio.Runner() as runner:
        ended = asyncio.Event()
        thread = threading.Thread(target=runner.run, args=(server.serve(started, ended),))
        thread.start()
        try:
            assert started.wait(30)
            yield server
        finally:
            runner.get_loop().call_soon_threadsafe(ended.set)
            thread.join()
