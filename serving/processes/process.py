"""One serving process: alone on its port, or one of several that share it."""

import asyncio
import logging
import os
import signal
import socket
import sys
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from features.declared import DeclarationError
from features.log.contract import LogError
from features.policy.declaration import PolicyError
from features.vocabulary import VocabularyError
from serving.access.protection import ProtectionError
from serving.processes.port import StartError
from serving.settings import ServingSettings
from serving.tracing import TracingError, tracing_of

EXPECTED = (
    *(StartError, ProtectionError, DeclarationError, VocabularyError, PolicyError),
    *(LogError, TracingError, OSError),
)
"""What may keep a process from starting; the text is meant for whoever started it."""


class Life(Protocol):
    """What a process does from its beginning to its end."""

    async def serve(self, announce: Callable[[str], None]) -> None:
        """Runs until stop(); announces when it can be asked."""

    def stop(self) -> None:
        """Ends serve(), after what is in flight."""


def quiet() -> None:
    """Nothing leaves the machine, and nothing but our own lines reaches the terminal."""
    form = "%(asctime)s %(process)d %(levelname)s %(message)s"
    logging.basicConfig(level=logging.WARNING, format=form)
    logging.getLogger("serving").setLevel(logging.INFO)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def serve_alone(settings: ServingSettings) -> None:
    """Answers until SIGTERM or SIGINT."""
    _run(lambda: _server(settings), lambda line: print(line, flush=True), None)


def serve_shared(
    settings: ServingSettings,
    words: Connection,
    lifeline: Connection,
    *,
    engine: Path | None = None,
) -> None:
    """Answers on a shared port until SIGTERM, or until the other end of the lifeline is closed.

    Says one thing: (True, the line that tells what serves) or (False, why nothing does).
    """
    _live(lambda: _server(settings, shared=True, engine=engine), words, lifeline)


def serve_engine(
    listener: socket.socket, settings: ServingSettings, words: Connection, lifeline: Connection
) -> None:
    """Runs the model for whoever connects; for the rest like serve_shared()."""
    _live(lambda: _engine(settings, listener), words, lifeline)


def _live(make: Callable[[], Life], words: Connection, lifeline: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the supervisor
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    quiet()
    if lifeline.poll():
        return
    try:
        _run(make, lambda line: words.send((True, line)), lifeline)
    except EXPECTED as error:
        words.send((False, str(error)))
        sys.exit(1)


def _server(settings: ServingSettings, *, shared: bool = False, engine: Path | None = None) -> Life:
    from serving.server import Server  # seconds of imports: not for --help, nor for a supervisor

    return Server(settings, tracing_of(os.environ), shared=shared, engine=engine)


def _engine(settings: ServingSettings, listener: socket.socket) -> Life:
    from serving.engine.engine import Engine  # likewise

    return Engine(settings, listener)


def _run(
    make: Callable[[], Life], announce: Callable[[str], None], lifeline: Connection | None
) -> None:
    # Of MLflow, which comes with the first look into its registry.
    warnings.filterwarnings("ignore", "The ``noload`` loader strategy", DeprecationWarning)

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        life = make()

        def stop() -> None:
            if lifeline is not None:
                loop.remove_reader(lifeline.fileno())
            life.stop()

        loop.add_signal_handler(signal.SIGTERM, stop)
        if lifeline is None:
            loop.add_signal_handler(signal.SIGINT, stop)
        else:
            loop.add_reader(lifeline.fileno(), stop)  # which is so for ever, once it is
        await life.serve(announce)

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve())


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:  # not on Windows
        return None
    return uvloop.new_event_loop
