"""A supervisor of processes that do nothing but live: `python -m tests.supervised KIND [PORT]`."""

import asyncio
import logging
import os
import signal
import sys
from multiprocessing.connection import Connection, wait

from serving.processes.port import StartError
from serving.processes.supervisor import Supervisor
from serving.settings import ServingSettings


def live(settings: ServingSettings, words: Connection, lifeline: Connection) -> None:
    """Until the lifeline or SIGTERM."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    words.send((True, f"SERVING on port {settings.port}"))
    wait([lifeline])


def refuse(settings: ServingSettings, words: Connection, lifeline: Connection) -> None:
    """Never answers, and says why."""
    words.send((False, "the log is away"))
    sys.exit(3)


def crash(settings: ServingSettings, words: Connection, lifeline: Connection) -> None:
    """Never answers, and cannot say why."""
    os.kill(os.getpid(), signal.SIGKILL)


def stay(settings: ServingSettings, words: Connection, lifeline: Connection) -> None:
    """Does not end when it should."""
    words.send((True, "SERVING"))
    wait([words])


def main(kind: str, port: str = "0") -> None:
    """Runs until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = ServingSettings(processes=2, port=int(port), grace_s=0.1)
    serve = {"live": live, "refuse": refuse, "crash": crash, "stay": stay}[kind]
    try:
        asyncio.run(Supervisor(settings, serve=serve, preload=(), kill_s=0.1).run())
    except StartError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
