"""Cores: a process that keeps to its own finds what it needs in their caches.

Its threads wake each other all the time, which costs least where no other core is to be woken.
"""

import os
from collections.abc import Callable, Sequence
from itertools import pairwise
from multiprocessing.connection import Connection

from features.cores import cores
from serving.settings import ServingSettings

Serve = Callable[[ServingSettings, Connection, Connection], None]


def own_cores(settings: ServingSettings) -> list[set[int]]:
    """The cores of each process; all of them for each where they are not to have their own.

    An engine and those who ask it are never busy at once, and a container's limit is one of time:
    both leave it to the system who runs where.
    """
    if not hasattr(os, "sched_setaffinity"):  # as on macOS
        return [set()] * settings.process_count
    usable, count = sorted(os.sched_getaffinity(0)), settings.process_count
    if not settings.own_cores or settings.has_engine or not count <= len(usable) == cores():
        return [set(usable)] * count
    return shares(usable, count)


def shares(usable: Sequence[int], count: int) -> list[set[int]]:
    """Neighbours together, as they may share a cache."""
    ends = [len(usable) * place // count for place in range(count + 1)]
    return [set(usable[first:last]) for first, last in pairwise(ends)]


def on_cores(
    own: set[int], serve: Serve, settings: ServingSettings, words: Connection, lifeline: Connection
) -> None:
    """Serves on these cores, with all the threads that it will have."""
    if own:
        os.sched_setaffinity(0, own)
    serve(settings, words, lifeline)
