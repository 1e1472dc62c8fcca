"""A real NATS server with JetStream on a free port, for tests: started, killed, frozen."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

BINARY = shutil.which("nats-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/bin")
READY = "Server is ready"
LISTENING = "Listening for client connections on 127.0.0.1:"


class NatsServer:
    """One server over one folder, from `with` to the end of the block."""

    def __init__(self, folder: Path, **options: object) -> None:
        """Skips the test where nats-server is not installed; on CI, fails it."""
        if BINARY is None:
            reason = "nats-server is not installed"
            pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._options, self._port = folder, options, -1  # -1: a free one

    @property
    def url(self) -> str:
        """What a client connects to."""
        return f"nats://127.0.0.1:{self._port}"

    def start(self) -> "NatsServer":
        """Returns when clients are served; after a stop, on the same port and folder."""
        command = [str(BINARY), "-c", str(self._configuration())]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if LISTENING in line:
                self._port = int(line.rpartition(":")[2])
            if READY in line:
                return self
        raise RuntimeError(f"nats-server ended with {self._process.wait()}")

    def _configuration(self) -> Path:
        jetstream: dict[str, object] = {"store_dir": str(self._folder)}
        if _version() >= (2, 10):  # before, it wrote to disk at its leisure
            jetstream["sync_interval"] = "always"
        values = {"host": "127.0.0.1", "port": self._port, "jetstream": jetstream}
        path = self._folder / "server.conf"
        path.write_text(json.dumps(values | self._options))
        return path

    def freeze(self) -> None:
        """It answers nobody."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)  # until all its threads have stopped

    def thaw(self) -> None:
        """It answers again."""
        self._process.send_signal(signal.SIGCONT)

    def stop(self, signal_number: int = signal.SIGTERM) -> None:
        """Ends it, as told or (SIGKILL) at once."""
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(signal_number)
        self._process.wait()
        assert self._process.stderr is not None
        self._process.stderr.close()

    def __enter__(self) -> "NatsServer":
        return self.start()

    def __exit__(self, *error: object) -> None:
        if self._process.poll() is None:
            self.stop()


def _version() -> tuple[int, ...]:
    """As `nats-server: v2.9.10` tells it."""
    told = subprocess.run([str(BINARY), "--version"], capture_output=True, text=True, check=True)
    return tuple(int(each) for each in told.stdout.strip().rpartition("v")[2].split(".")[:2])
