"""How the workers' progress reaches the program that waits for them: lines of JSON over a socket.

Ray Train reports at the end of an epoch, and to another process; people want to see it move.
"""

import json
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from threading import Thread


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come."""

    epoch: int  # from 1
    done: float  # share of the run
    loss: float  # of intent and item together, of the last step or of a whole epoch
    metrics: dict[str, float] = field(default_factory=dict)  # at the end of an epoch


@dataclass(frozen=True, slots=True)
class Address:
    """Where to tell it, and the word that lets one in."""

    host: str
    port: int
    password: str


class Teller:
    """Tells the program; goes on in silence when nobody listens."""

    def __init__(self, address: Address) -> None:
        self._socket: socket.socket | None = None
        with suppress(OSError):
            self._socket = socket.create_connection((address.host, address.port), timeout=5)
            self._send(address.password)

    def tell(self, progress: Progress) -> None:
        """Sends one line."""
        try:
            self._send(json.dumps(asdict(progress)))
        except OSError:
            self.close()

    def close(self) -> None:
        """Hangs up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, line: str) -> None:
        if self._socket is not None:
            self._socket.sendall(f"{line}\n".encode())


@contextmanager
def listening(host: str, heard: Callable[[Progress], None]) -> Iterator[Address]:
    """Calls `heard`, on a thread of its own, with all that is told to the address."""
    password = secrets.token_hex(16)
    server = socket.create_server((host, 0))
    thread = Thread(target=_listen, args=(server, password, heard), name="progress", daemon=True)
    thread.start()
    try:
        yield Address(host, server.getsockname()[1], password)
    finally:
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)  # ends the thread's accept
        server.close()


def _listen(server: socket.socket, password: str, heard: Callable[[Progress], None]) -> None:
    """Hears one teller after another: one that was killed is followed by a new one."""
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection, connection.makefile() as lines, suppress(OSError, ValueError, TypeError):
            if next(lines, "").rstrip("\n") != password:
                continue
            for line in lines:
                heard(Progress(**json.loads(line)))
