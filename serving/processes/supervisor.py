"""The supervisor: several processes serve on one port; one that dies is replaced.

They are forked from a process that has imported what they need and started nothing: neither gRPC
nor a model's threads, which would not survive it (multiprocessing's fork server). Measured on 2
shared cores: a new process takes 1.8 s of CPU time instead of 9.5, and half the memory.
"""

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TypeVar

from serving.metrics import forget, serve_all
from serving.processes.cores import Serve, on_cores, own_cores
from serving.processes.port import StartError, hold
from serving.processes.process import serve_engine, serve_shared
from serving.settings import ServingSettings

MOST_FAILED_STARTS = 3  # in a row, of one place
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0  # before the next start, after one that failed
KILL_S = 10.0  # beyond grace_s: a process that has not ended by then is killed

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Child:
    """One of the processes, and the end of the pipe where its only message arrives."""

    process: BaseProcess
    words: Connection


class Supervisor:
    """Keeps a number of serving processes alive. Its own end, however it comes, ends them."""

    def __init__(
        self,
        settings: ServingSettings,
        *,
        serve: Serve = serve_shared,
        preload: Sequence[str] = ("serving.server",),
        kill_s: float = KILL_S,
    ) -> None:
        """Does nothing yet: see run()."""
        self._settings = settings
        self._count = settings.process_count
        self._serve = serve
        self._preload = list(preload)
        self._last_s = settings.grace_s + kill_s  # how long the end may take
        self._context = multiprocessing.get_context("forkserver")
        # All that multiprocessing does is done by one thread, in turn.
        self._thread = ThreadPoolExecutor(1, "processes")
        self._stop = asyncio.Event()
        self._ready: set[Child] = set()
        self._children: set[Child] = set()
        self._announced = False
        self._line = ""
        self._metrics: Path | None = None  # where the processes keep theirs

    async def run(self) -> None:
        """Until SIGTERM or SIGINT; raises StartError."""
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, self._stop.set)
        with ExitStack() as stack:
            holder = stack.enter_context(
                hold(self._settings.host, self._settings.port, shared=True)
            )
            shared = replace(
                self._settings,
                port=holder.getsockname()[1],
                metrics_port=0,
                threads=self._settings.model_threads,  # of all cores: a process sees its own
            )
            self._show_metrics(stack)
            await self._in_thread(self._start_template)
            # Its other end is in this process alone: closed, or gone with it, all of them end.
            theirs, ours = self._context.Pipe(duplex=False)
            work = self._work(stack)
            self._count = len(work)
            slots = [loop.create_task(self._keep(each, shared, theirs)) for each in work]
            told = loop.create_task(self._stop.wait())
            await asyncio.wait([told, *slots], return_when=asyncio.FIRST_COMPLETED)
            self._stop.set()
            ours.close()
            await self._see_off(slots)

    def _work(self, stack: ExitStack) -> list[Serve]:
        """What each of the processes does."""
        if not self._settings.has_engine:
            return [partial(on_cores, own, self._serve) for own in own_cores(self._settings)]
        # Listens as long as this process lives: who calls while no engine does waits for the next.
        path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "engine"
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(path))
        listener.listen()
        asking = partial(serve_shared, engine=path)
        return [partial(serve_engine, listener), *[asking] * self._count]

    def _show_metrics(self, stack: ExitStack) -> None:
        host, port = self._settings.host, self._settings.metrics_port
        if not port:
            return
        self._metrics = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(self._metrics)
        try:
            stack.callback(serve_all(host, port, self._metrics))
        except OSError as error:
            text = f"cannot show metrics on {host}:{port}: {error}. Try another --metrics-port"
            raise StartError(text) from error

    def _start_template(self) -> None:
        """Starts the process that the others are forked from, deaf to what ends this one."""
        self._context.set_forkserver_preload(self._preload)
        resource_tracker.ensure_running()  # would undo the mask
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        forkserver.ensure_running()

    async def _keep(self, serve: Serve, shared: ServingSettings, lifeline: Connection) -> None:
        """One process after the other, until told to stop; raises StartError."""
        failed = 0
        while not self._stop.is_set():
            child = await self._in_thread(lambda: self._start(serve, shared, lifeline))
            why, status = await self._live(child)
            if self._stop.is_set():
                return
            failed = failed + 1 if why else 0
            logger.error("process %d %s%s", child.process.pid, _ended(status), why)
            if failed >= MOST_FAILED_STARTS and not (self._announced and self._ready):
                text = f"a process {_ended(status)} while it started, {failed} times in a row"
                raise StartError(f"{text}{why}")
            await self._pause(failed)

    def _start(self, serve: Serve, shared: ServingSettings, lifeline: Connection) -> Child:
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(target=serve, args=(shared, theirs, lifeline))
        try:
            process.start()
        except EOFError as error:
            raise StartError("no process can be started: see the error above") from error
        theirs.close()
        return Child(process, ours)

    async def _live(self, child: Child) -> tuple[str, int]:
        """Sees a process to its end: why it never served, if so, and its exit status."""
        self._children.add(child)
        await _readable(child.words.fileno())
        try:
            ready, said = child.words.recv()
        except EOFError:
            ready, said = False, "it did not say why"
        if ready:
            self._ready.add(child)
            self._announce(said, child)
        await _readable(child.process.sentinel)
        status = await self._in_thread(lambda: _status(child.process))
        child.words.close()
        self._ready.discard(child)
        self._children.discard(child)
        if self._metrics is not None and child.process.pid is not None:
            forget(child.process.pid, self._metrics)
        return ("" if ready else f": {said}"), status

    def _announce(self, line: str, child: Child) -> None:
        """One line once all of them answer."""
        logger.info("process %d answers from now on", child.process.pid)
        self._line = line or self._line  # an engine has none
        if len(self._ready) == self._count and not self._announced:
            self._announced = True
            print(f"{self._line}, {self._count} processes", flush=True)

    async def _pause(self, failed: int) -> None:
        """Longer and longer after failed starts; none after a process that has served."""
        if failed:
            pause_s = min(FIRST_PAUSE_S * 2 ** (failed - 1), LONGEST_PAUSE_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause_s)

    async def _see_off(self, slots: Sequence[asyncio.Task[None]]) -> None:
        """Waits for calls in flight, though not for ever."""
        await asyncio.wait(slots, timeout=self._last_s)
        for child in self._children:
            logger.error("process %d does not end; it is killed", child.process.pid)
            child.process.kill()
        await asyncio.gather(*slots)

    async def _in_thread(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)


def _status(process: BaseProcess) -> int:
    process.join()
    return process.exitcode or 0


def _ended(status: int) -> str:
    """In words: Python says -9 of a process that SIGKILL has ended."""
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with {status}"


async def _readable(file: int) -> None:
    """Waits until there is something to read, or its end."""
    loop, seen = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(file, seen.set)
    try:
        await seen.wait()
    finally:
        loop.remove_reader(file)
