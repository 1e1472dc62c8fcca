"""Faults of callers: three times the load, from a Node client that retries what was refused."""

import base64
import json
import os
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.composed import Server, started
from benchmarks.fault.scene import Scene
from benchmarks.fault.trial import Fault, Seen
from benchmarks.frontend import DECIDE, question
from benchmarks.load import Load, run
from benchmarks.report import Figure
from tests.redis_server import free_port

PACKAGE = "@grpc/grpc-js@1.14.7"
FOLDER = Path(".interplay/peers/node")
SCRIPT = Path(__file__).with_name("retrying.js")
CHANNELS = ("web", "app", "store")
CALLERS, CAPACITY_S, SECONDS = 64, 5.0, 8.0
TIMES, DEADLINE_MS = 3.0, 100.0
DECIDED = re.compile(
    r'^interplay_calls_total\{[^}]*method="DecideInteraction"[^}]*\} ([\d.e+]+)$', re.MULTILINE
)


def faults() -> list[Fault]:
    """Of callers."""
    return [
        Fault(
            "retrying-client",
            f"{TIMES:g}x the capacity for {SECONDS:g} s from Node (@grpc/grpc-js) with up to 4 "
            f"attempts a call; each call gives {DEADLINE_MS:g} ms",
            "attempts at the server <= 1.1x calls; goodput >= 60 % of the capacity",
            _retry,
        )
    ]


def _retry(scene: Scene) -> Seen:
    if shutil.which("node") is None or shutil.which("npm") is None:
        return Seen([], "not tried: it needs node and npm")
    _install()
    requests = [
        question(customer, CHANNELS[at % len(CHANNELS)], k=10).SerializeToString()
        for at, customer in enumerate(scene.customers)
    ]
    port = free_port()
    with scene.home() as home, _half_the_cores() as (ours, theirs):
        os.sched_setaffinity(0, theirs)
        with started(home, "--metrics-port", str(port)) as server:
            os.sched_setaffinity(0, ours)
            capacity = _capacity(server, requests)
            before = _attempts(port)
            told = _drive(server, requests, rate=TIMES * capacity)
            attempts = _attempts(port) - before
    dropped = told["codes"].get("CANCELLED", 0)  # by gRPC, before the server could count them
    goodput = told["good"] / SECONDS / capacity
    return Seen(
        [
            Figure("capacity", capacity, "/s"),
            Figure("calls", told["calls"]),
            Figure("attempts / calls", (attempts + dropped) / told["calls"], goal=1.1),
            Figure("goodput", 100 * goodput, "%", goal=60.0, better="higher"),
            *(Figure(code, count) for code, count in sorted(told["codes"].items())),
            Figure("the client's own lag, at most", told["late_ms"], "ms"),
        ]
    )


def _install() -> None:
    """Node's gRPC, in a place of its own."""
    if (FOLDER / "node_modules" / "@grpc" / "grpc-js").exists():
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "package.json").write_text('{"private": true}\n')
    quiet = ("--no-audit", "--no-fund", "--ignore-scripts", "--silent")
    subprocess.run(["npm", "install", *quiet, PACKAGE], cwd=FOLDER, check=True)


@contextmanager
def _half_the_cores() -> Iterator[tuple[set[int], set[int]]]:
    """For the callers, and for the server."""
    cores = sorted(os.sched_getaffinity(0))
    half = max(1, len(cores) // 2)
    try:
        yield set(cores[half:] or cores), set(cores[:half])
    finally:
        os.sched_setaffinity(0, cores)


def _capacity(server: Server, requests: Sequence[bytes]) -> float:
    load = Load(
        target=server.address,
        method=DECIDE,
        requests=requests,
        callers=CALLERS,
        seconds=CAPACITY_S,
        deadline_ms=10_000,
    )
    return float(run(load).achieved_rate)


def _attempts(port: int) -> float:
    """Of decisions, that the server has seen, however they ended."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
        return sum(map(float, DECIDED.findall(page.read().decode())))


def _drive(server: Server, requests: Sequence[bytes], *, rate: float) -> dict[str, Any]:
    words = (server.address, str(rate), str(SECONDS), str(DEADLINE_MS))
    run = subprocess.run(
        ["node", str(SCRIPT), *words],
        input=b"\n".join(map(base64.b64encode, requests)),
        stdout=subprocess.PIPE,
        check=True,
        env=os.environ | {"NODE_PATH": str((FOLDER / "node_modules").resolve())},
    )
    told: dict[str, Any] = json.loads(run.stdout)
    return told
