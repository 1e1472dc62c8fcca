"""Leisure: work in pieces, with rests between them, so that the threads that answer catch up."""

import time
from collections.abc import Callable

REST = 2.0  # of the time that a piece took, which is longer the less of the cores is free

Breathe = Callable[[], None]
"""To be called after each piece of work."""


def in_haste() -> None:
    """No rest: nobody is being answered yet."""


def at_leisure() -> Breathe:
    """Rests. The first piece begins now."""
    began = time.perf_counter()

    def breathe() -> None:
        nonlocal began
        time.sleep(REST * (time.perf_counter() - began))
        began = time.perf_counter()

    return breathe
