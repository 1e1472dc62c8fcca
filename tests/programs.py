"""A program of several processes, and what they print."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ANSWERS = re.compile(r"process (\d+) answers from now on")


class Program:
    """A supervisor, and what it and its processes print, as long as one of them lives."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        """Has just been started."""
        self.process = process

    def line(self, pattern: str | re.Pattern[str]) -> re.Match[str]:
        """The next line that matches; fails at the end of all processes."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"no {pattern} before the end")

    def rest(self) -> str:
        """What is printed until the last of the processes has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.read()

    def pids(self) -> list[int]:
        """The two processes, once they answer."""
        return sorted(int(self.line(ANSWERS)[1]) for _ in range(2))


@contextmanager
def training(*arguments: str | Path, **variables: str) -> Iterator["subprocess.Popen[str]"]:
    """Starts `python -m training` in a session of its own; its processes may outlive it."""
    with subprocess.Popen(
        [sys.executable, "-m", "training", *arguments],
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


@contextmanager
def program(*arguments: str) -> Iterator[Program]:
    """Starts a program of two processes in a session of its own, which is gone in the end."""
    with subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield Program(process)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
