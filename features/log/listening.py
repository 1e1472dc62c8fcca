"""Listening to an embedded log: what others append is told on a thread that follows its tail."""

import logging
import threading
from pathlib import Path

from features.log.contract import Heard, Log, LogError, Wanted
from features.log.pokes import Ear

ENTRIES_A_STEP = 1000

logger = logging.getLogger(__name__)


class Listening:
    """Follows a log from now on, until close()."""

    def __init__(self, tail: Log, folder: Path, wanted: Wanted, heard: Heard) -> None:
        """Takes over `tail`, a log of its own; raises LogError."""
        self._tail, self._wanted, self._heard = tail, wanted, heard
        try:
            self._ear = Ear(folder)
        except OSError as error:
            tail.close()
            raise LogError(f"nobody can listen at {folder}: {error}") from error
        self._position = tail.last_position()
        self._ended = False
        self._thread = threading.Thread(target=self._follow, name="listening", daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        while True:
            self._ear.wait()
            if self._ended:
                return
            try:
                self._tell()
            except Exception as error:  # the next poke must find somebody
                logger.error("what others have recorded cannot be read: %s", error)
                self._heard(None)

    def _tell(self) -> None:
        while entries := self._tail.read(after=self._position, limit=ENTRIES_A_STEP):
            self._position = entries[-1].position
            every = (each.interaction for each in entries)
            told = [each for each in every if self._wanted(each.customer_id, each.anonymous_id)]
            if told:
                self._heard(told)

    def close(self) -> None:
        """Nothing is told from now on."""
        self._ended = True
        self._ear.poke()
        self._thread.join()
        self._ear.close()
        self._tail.close()
