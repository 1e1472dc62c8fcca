"""The composed system: each program a process of its own, started as a user starts it."""

import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from features.artefact import read_contract
from features.settings import Home
from training.publishing import Publisher

STOP_S = 20.0
ANONYMOUS = re.compile(r"^Pss_Anon:\s+(\d+) kB$", re.MULTILINE)
ADDRESS = re.compile(r"(?:SERVING|NO MODEL yet) on (\S+):")

BASELINES = ("popularity", "recency", "markov", "vmis-knn")


@dataclass(frozen=True, slots=True)
class Judged:
    """How the champion did on the newest part of the history, by NDCG@10."""

    ndcg: float
    baseline: str  # the best of the three
    best: float


class ProgramError(RuntimeError):
    """A program of ours ended with an error; the text is what it printed."""


def run_program(program: str, *arguments: str | Path) -> str:
    """Runs `python -m program arguments` to its end and gives what it printed."""
    command = [sys.executable, "-m", program, *map(str, arguments)]
    with tempfile.TemporaryFile("w+") as printed:
        process = subprocess.Popen(command, stdout=printed, stderr=subprocess.STDOUT)
        try:
            status = process.wait()
        finally:
            _stop(process)
        printed.seek(0)
        text = printed.read()
    if status:
        raise ProgramError(f"python -m {program} {' '.join(map(str, arguments))}\n{text}")
    return text


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers: its address, and the process that was started."""

    address: str
    process: psutil.Process
    _complaints: IO[str]

    def complained(self) -> str:
        """What it has logged so far."""
        self._complaints.seek(0)
        return self._complaints.read()

    def processes(self) -> list[psutil.Process]:
        """That process and those that it has started."""
        return [self.process, *self.process.children(recursive=True)]

    def cpu_s(self) -> float:
        """What they have used of the cores so far, in seconds."""
        times = [each.cpu_times() for each in self.processes()]
        return sum(each.user + each.system for each in times)

    def memory_bytes(self) -> int:
        """What they hold that no other process does; pages that they share count in part."""
        return sum(each.memory_full_info().pss for each in self.processes())

    def allocated_bytes(self) -> int:
        """What of that stands in no file; so whether others use the same libraries is the same."""
        texts = [Path(f"/proc/{each.pid}/smaps_rollup").read_text() for each in self.processes()]
        return sum(1024 * int(found) for text in texts for found in ANONYMOUS.findall(text))


@contextmanager
def serving(home: Path, *arguments: str) -> Iterator[str]:
    """The address of a server, as started() starts it."""
    with started(home, *arguments) as server:
        yield server.address


@contextmanager
def started(
    home: Path, *arguments: str, protection: Sequence[str] = ("--insecure",)
) -> Iterator[Server]:
    """Starts a server on a free port, gives it once it answers, and stops it.

    Histories without consents count: whoever measures speaks for the customers.
    """
    where = ("--home", str(home), "--port", "0", "--assumed-consent", "personalization")
    command = [sys.executable, "-m", "serving", *protection, *where, *arguments]
    with tempfile.TemporaryFile("w+") as complaints:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints, text=True)
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            found = ADDRESS.match(line)
            if found is None:
                _stop(process)
                complaints.seek(0)
                raise ProgramError(f"the server did not start: {line}{complaints.read()}")
            yield Server(found[1], psutil.Process(process.pid), complaints)
        finally:
            _stop(process)
            process.stdout.close()


def judged(home: Home) -> Judged:
    """What the champion's contract says of it."""
    champion = Publisher(home).champion()
    assert champion is not None  # there has been a training
    metrics = read_contract(champion.directory).metrics
    best, baseline = max((metrics[f"{each}_ndcg_at_10"], each) for each in BASELINES)
    return Judged(metrics["ndcg_at_10"], baseline, best)


def _stop(process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> None:
    """Asks it to end, as Ctrl-C does, and does not wait for ever."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
