"""Pokes: whoever appends to an embedded log tells the processes that listen, and no others.

Each of them has a Unix datagram socket in one folder. A poke has no content: what there is to know
stands in the log. Where nobody listens, an append costs one look at the folder.
"""

import os
import socket
import time
import uuid
from contextlib import suppress
from pathlib import Path

POKE = b"."
SETTLED_NS = 2 * 10**9  # after that a file system shows each further change of a folder


class _Folder:
    """A folder of sockets; by a short name, as the address of a socket has 107 bytes at most."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        short = Path(f"/proc/self/fd/{self._file}")
        self.path = short if short.exists() else path

    def close(self) -> None:
        os.close(self._file)


class Pokes:
    """Pokes whoever listens at a folder. One thread at a time."""

    def __init__(self, path: Path) -> None:
        """The folder need not be there."""
        self._path = path
        self._folder: _Folder | None = None
        self._socket: socket.socket | None = None
        self._seen_ns = (0, 0)  # when the folder was changed, and when it was looked at
        self._names: list[str] = []

    def poke(self) -> None:
        """Who is busy with an earlier one need not have another."""
        try:
            changed_ns = self._path.stat().st_mtime_ns
        except FileNotFoundError:
            return
        if changed_ns != self._seen_ns[0] or self._seen_ns[1] - changed_ns < SETTLED_NS:
            self._folder = self._folder or _Folder(self._path)
            self._seen_ns = changed_ns, time.time_ns()
            self._names = [each.name for each in self._path.iterdir()]
        if self._names and self._folder is not None:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
            for name in self._names:
                self._poke(self._socket, self._folder.path / name)

    def _poke(self, own: socket.socket, address: Path) -> None:
        try:
            own.sendto(POKE, str(address))
        except ConnectionRefusedError:  # whoever it was has died
            address.unlink(missing_ok=True)
        except OSError:  # it has pokes enough, or is gone by now
            pass

    def close(self) -> None:
        """Lets go of the folder."""
        for each in (self._socket, self._folder):
            if each is not None:
                each.close()


class Ear:
    """A socket that is poked, until it is closed."""

    def __init__(self, path: Path) -> None:
        """Creates the folder where there is none; raises OSError."""
        path.mkdir(exist_ok=True)
        self._folder = _Folder(path)
        self._address = self._folder.path / uuid.uuid4().hex
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._address))

    def wait(self) -> None:
        """Until there is a poke, or several: they are one."""
        self._socket.recv(1)
        with suppress(BlockingIOError):
            while True:
                self._socket.recv(1, socket.MSG_DONTWAIT)

    def poke(self) -> None:
        """By ourselves. On any thread."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
            own.setblocking(False)
            with suppress(BlockingIOError):  # there are pokes enough
                own.sendto(POKE, str(self._address))

    def close(self) -> None:
        """Nobody is poked here any more."""
        self._address.unlink(missing_ok=True)
        self._socket.close()
        self._folder.close()
