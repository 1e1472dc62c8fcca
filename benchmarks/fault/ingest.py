"""Faults of recording: whoever writes is killed, at any moment."""

import os
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from benchmarks.fault.scene import Scene
from benchmarks.fault.trial import Fault, Seen, none_of
from benchmarks.report import Figure
from features.live import LiveFeatures
from features.log.contract import open_log
from features.record import RECORD_BYTES
from features.settings import FeatureSettings
from tests.nats_server import NatsServer
from tests.redis_server import RedisServer

KILLS = 50  # of each pair of log and online store
BROKEN = ("lost", "twice in the log", "online other than logged")
MOST_BEFORE = 8  # interactions that a writer acknowledges before it is killed, at most
FORKER = """
import os, sys
from pathlib import Path
from features.live import LiveFeatures
from features.settings import FeatureSettings
from tests.interactions import interaction
home, log_url, online_url = sys.argv[1:]
settings = FeatureSettings(
    home=Path(home), max_records=5000, log_url=log_url, online_url=online_url
)
for line in sys.stdin:
    child = os.fork()
    if not child:
        with LiveFeatures(settings) as live:
            for number in range(int(line), 10**6):
                live.log(live.without_held([[interaction(number)]]))
                os.write(1, f"{number}\\n".encode())
                live.apply()
    os.write(1, f"{child}\\n".encode())
    os.waitpid(child, 0)
    os.write(1, b"dead\\n")
"""
"""Forks writers, as a start from nothing takes seconds; each tries the last of the one before."""


def faults() -> list[Fault]:
    """Of recording."""
    return [
        Fault(
            "ingest-killed",
            f"SIGKILL to whoever records, {2 * KILLS} times; half on SQLite, half on Redis",
            "no acknowledged interaction lost, none held twice, in log and online store",
            _killed,
        )
    ]


def _killed(scene: Scene) -> Seen:
    times, counted = scene.times(KILLS), Counter[str]()
    with tempfile.TemporaryDirectory(prefix="interplay-") as place:
        folder = Path(place)
        with RedisServer(folder) as redis, NatsServer(folder / "nats") as nats:
            for name, urls in {"embedded": ("", ""), "shared": (nats.url, redis.url)}.items():
                counted.update(_counted(folder / name, urls, times))
    told = [Figure(each, counted[each]) for each in ("kills", "acknowledged")]
    return Seen([*told, *(none_of(each, counted[each]) for each in BROKEN)])


def _counted(home: Path, urls: tuple[str, str], times: int) -> dict[str, int]:
    """Of writers killed so often: what they acknowledged, and what became of it."""
    settings = FeatureSettings(home=home, max_records=5000, log_url=urls[0], online_url=urls[1])
    LiveFeatures(settings).close()
    acknowledged = killed_writers([sys.executable, "-c", FORKER, str(home), *urls], times)
    with LiveFeatures(settings) as live, open_log(settings) as log:
        for _ in range(2):
            live.sweep()
        logged = [each.interaction.interaction_id for each in log.read(after=0, limit=10**6)]
        (history,) = live.read(["ada"]).histories
    lost = {str(each) for each in acknowledged} - set(logged)
    online = len(history) // RECORD_BYTES
    broken = len(lost), len(logged) - len(set(logged)), abs(online - len(set(logged)))
    counts = {"kills": times, "acknowledged": len(acknowledged)}
    return counts | dict(zip(BROKEN, broken, strict=True))


def killed_writers(command: Sequence[str], times: int) -> set[int]:
    """What writers acknowledged of whom each was killed."""
    acknowledged: set[int] = set()
    dice = random.Random(7)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as forker:
        assert forker.stdin is not None and forker.stdout is not None
        for _ in range(times):
            forker.stdin.write(f"{max(acknowledged, default=0)}\n")
            forker.stdin.flush()
            enough = dice.randrange(1, MOST_BEFORE)
            acknowledged |= _acknowledged_until_killed(forker.stdout, enough)
        forker.stdin.close()
    return acknowledged


def _acknowledged_until_killed(lines: IO[str], enough: int) -> set[int]:
    writer, found = int(next(lines)), set[int]()
    for line in lines:
        if line == "dead\n":
            return found
        found.add(int(line))
        if len(found) == enough:
            os.kill(writer, signal.SIGKILL)
    raise AssertionError("the fork server ended")
