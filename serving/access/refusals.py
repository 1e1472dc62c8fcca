"""Refusals: counted by reason, and logged without a secret; a flood of them fills no disk."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

LOG_EVERY_S = 10.0  # what is alike is logged once in so long

logger = logging.getLogger(__name__)


class Denial(StrEnum):
    """Why somebody who is known is refused."""

    RIGHT = "right"
    CHANNEL = "channel"
    RATE = "rate"


@dataclass(slots=True)
class _Told:
    at_s: float
    since: int = 0


class Refusals:
    """All of a process."""

    def __init__(self, count: Callable[[str], None]) -> None:
        """Tells `count` the reason of each."""
        self._count = count
        self._told: dict[tuple[str, str], _Told] = {}

    def note(self, reason: str, method: str, *, caller: str, peer: str, now_s: float) -> None:
        """Somebody was refused; `caller` is a name of the access file, or empty."""
        self._count(reason)
        told = self._told.get((reason, caller))
        if told is not None and now_s < told.at_s + LOG_EVERY_S:
            told.since += 1
            return
        more = f"; {told.since} more since the last such line" if told and told.since else ""
        who = f"{caller} at {peer}" if caller else peer
        logger.warning("%s is refused to %s: %s%s", method, who, reason, more)
        self._told[reason, caller] = _Told(now_s)
