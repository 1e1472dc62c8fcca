"""A contestant's life: its environment made, its processes started, measured, and all ended."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from benchmarks.peers.contestants import Contestant

HERE = Path(__file__).parent
ENVIRONMENTS = Path(".interplay/peers")
STOP_S = 10.0
MOST_SHOWN = 300  # characters of its last words
PORTS = 4  # in a row: some contestants insist on more than the one that is called
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of Linux


class NotRunError(Exception):
    """This contestant cannot be measured here; the text says why."""


@dataclass(frozen=True, slots=True)
class Server:
    """A contestant that has been started."""

    contestant: Contestant
    process: subprocess.Popen[bytes]
    port: int
    printed: IO[bytes]

    @property
    def target(self) -> str:
        """For the load generator."""
        return f"{'http://' if self.contestant.wire.http else ''}127.0.0.1:{self.port}"

    def cpu_s(self) -> float:
        """What all its processes have used so far."""
        return sum(sum(each.cpu_times()[:2]) for each in self._tree())

    def memory_mib(self) -> float:
        """What all its processes hold; what they share counts once."""
        return sum(each.memory_full_info().pss for each in self._tree()) / 2**20

    def must_live(self) -> None:
        """Raises NotRunError with its last words if it has ended."""
        if self.process.poll() is not None:
            self.printed.seek(0)
            words = self.printed.read().decode(errors="replace").split("\n")
            last = next((each.strip() for each in reversed(words) if each.strip()), "in silence")
            raise NotRunError(f"ended: {last[:MOST_SHOWN]}")

    def _tree(self) -> Iterator[psutil.Process]:
        root = psutil.Process(self.process.pid)
        for each in (root, *root.children(recursive=True)):
            with suppress(psutil.Error):  # it has just ended
                each.status()
                yield each


def adopt_orphans() -> None:
    """Makes processes whose parents end children of this one, on Linux: none can get lost."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(SUBREAPER, 1)


@contextmanager
def started(contestant: Contestant) -> Iterator[Server]:
    """Starts it on free ports; in the end not one of its processes is left."""
    python, port = interpreter(contestant.environment), _free_ports()
    command = [python, "-m", f"benchmarks.peers.{contestant.module}", port, *contestant.arguments]
    variables = {**os.environ, "PYTHONPATH": str(Path.cwd()), **contestant.variables}
    folders = f"{Path(python).parent}{os.pathsep}{variables['PATH']}"  # for its own commands
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(
            [str(word) for word in command],
            env=variables | {"PATH": folders},
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us, who end it
        )
        try:
            yield Server(contestant, process, port, printed)
        finally:
            _end(process)


def interpreter(environment: str | None, *options: str) -> str:
    """Python with what a contestant needs; installed on demand, once for each requirements file.

    The options are pip's.
    """
    if environment is None:
        return sys.executable
    folder = ENVIRONMENTS / environment
    requirements = HERE / f"requirements-{environment}.txt"
    python, done = folder / "bin/python", folder / "installed.txt"
    if not done.exists() or done.read_text() != requirements.read_text():
        print(f"Installing {environment} under {folder}", flush=True)
        _run([sys.executable, "-m", "venv", "--clear", folder])
        _run([python, "-m", "pip", "install", "-qq", "--no-compile", *options, "-r", requirements])
        done.write_text(requirements.read_text())
    return str(python.absolute())


def _run(command: list[Any]) -> None:
    run = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if run.returncode:
        last = (run.stderr or run.stdout).strip().rpartition("\n")[2]
        raise NotRunError(f"not installed: {last}")


def _free_ports() -> int:
    """The first of some ports in a row that nobody uses."""
    for first in range(20_000, 32_000, PORTS):
        with suppress(OSError):
            for port in range(first, first + PORTS):
                with socket.create_server(("127.0.0.1", port)):
                    pass
            return first
    raise NotRunError("no free ports")


def _end(process: subprocess.Popen[bytes]) -> None:
    family: list[psutil.Process] = []
    with suppress(psutil.Error):
        family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
    process.kill()
    family += psutil.Process().children(recursive=True)  # adopted
    for each in family:
        with suppress(psutil.Error):
            each.kill()
    process.wait()
    psutil.wait_procs(family, timeout=STOP_S)
