"""A real redis-server on a free port, for tests; and a slow line to it."""

import os
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

BINARY = "redis-server"


class RedisServer:
    """An empty server from `with` to the end of the block; it can be paused, killed, restarted."""

    def __init__(self, folder: Path, *settings: str) -> None:
        """Skips the test where there is no binary; fails it in CI."""
        if shutil.which(BINARY) is None:
            missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
            missing(f"{BINARY} is not installed")
        self.port = free_port()
        places = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)]
        nothing_kept = ["--save", "", "--appendonly", "no"]
        small = ["--hash-max-listpack-value", "8192"]
        self._command = [BINARY, *places, *nothing_kept, *small, *settings]

    @property
    def url(self) -> str:
        """What FeatureSettings.online_url takes, with patience for a busy machine."""
        return f"{self.plain_url}?socket_timeout=10&socket_connect_timeout=10"

    @property
    def plain_url(self) -> str:
        """The same with the limits that serving has."""
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE)
        self.wait_for("Ready to accept connections")

    def wait_for(self, text: str) -> None:
        """Returns when it says so."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if text.encode() in line:
                return
        raise AssertionError(f"{' '.join(self._command)} ended")

    def pause(self) -> None:
        """It accepts connections, and says nothing."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)  # until all its threads have stopped

    def resume(self) -> None:
        """It goes on."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """It is gone, with all that it held."""
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> "RedisServer":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()


class SlowLine:
    """Listens on a port of its own, and passes on what a server answers after a while."""

    def __init__(self, server_port: int) -> None:
        """Without any delay, until told otherwise."""
        self.delay_s = 0.0
        self.question_count = 0  # chunks that clients have sent
        self._server_port = server_port
        self._closed = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:  # closed
                return
            far = socket.create_connection(("127.0.0.1", self._server_port))
            for source, target, asks in ((near, far, True), (far, near, False)):
                arguments = (source, target, asks)
                threading.Thread(target=self._pass_on, args=arguments, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, asks: bool) -> None:
        with source, target:
            try:
                while chunk := source.recv(65536):
                    self.question_count += asks
                    if not asks and self.delay_s:
                        self._closed.wait(self.delay_s)
                    target.sendall(chunk)
            except OSError:  # one side has gone
                return

    def close(self) -> None:
        """No more connections, no more delays."""
        self._closed.set()
        self._listener.close()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
