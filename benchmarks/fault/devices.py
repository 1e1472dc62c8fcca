"""Faults of what runs the model: no GPU, a run that does not end, an engine that dies."""

import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable

import grpc
import psutil
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from benchmarks.composed import Server, started
from benchmarks.fault.scene import Scene
from benchmarks.fault.traffic import Traffic, failed, p99
from benchmarks.fault.trial import Fault, Seen, all_of
from benchmarks.report import Figure
from serving.model.device import CPU, provider_of
from serving.service import PERSONALIZATION
from tests.redis_server import free_port

AWAY_S, USUAL_S = 4.0, 2.0
POPULARITY = "POPULARITY"
PROMISE = "0 failed calls, each answered within 1 s, labelled; the model is back within 10 s"


def faults() -> list[Fault]:
    """Of what runs the model."""
    return [
        Fault(
            "gpu-missing",
            "no GPU: --device cuda, and --device auto",
            "cuda: refused before it listens; auto: ready on the CPU, and the metrics say so",
            _missing,
        ),
        Fault("engine-frozen", "the process that runs the model hangs for 4 s", PROMISE, _frozen),
        Fault("engine-killed", "the process that runs the model is killed", PROMISE, _killed),
    ]


def _missing(scene: Scene) -> Seen:
    if provider_of("auto") != CPU:
        return Seen([], "not tried: there is a GPU")
    with scene.home() as home:
        command = ["-m", "serving", "--insecure", "--home", str(home), "--device", "cuda"]
        ended = subprocess.run([sys.executable, *command], capture_output=True, text=True)
        port = free_port()
        with started(home, "--device", "auto", "--metrics-port", str(port)) as server:
            ready = _is_ready(server)
            with Traffic(server.address, customers=scene.customers) as traffic:
                time.sleep(USUAL_S)
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
                shown = f'provider="{CPU}"' in page.read().decode()
    said = ended.returncode == 1 and "--device cuda cannot be had" in ended.stderr
    return Seen(
        [
            all_of("cuda refused, with its reason", int(said), 1),
            all_of("auto ready", int(ready), 1),
            all_of("its provider in the metrics", int(shown), 1),
            *failed(traffic.answers),
        ]
    )


def _is_ready(server: Server) -> bool:
    with grpc.insecure_channel(server.address) as channel:
        reply = HealthStub(channel).Check(HealthCheckRequest(service=PERSONALIZATION))
    return bool(reply.status == HealthCheckResponse.SERVING)


def _frozen(scene: Scene) -> Seen:
    return _without_engine(scene, psutil.Process.suspend, psutil.Process.resume)


def _killed(scene: Scene) -> Seen:
    return _without_engine(scene, psutil.Process.kill, None)


def _without_engine(
    scene: Scene,
    leave: Callable[[psutil.Process], None],
    come_back: Callable[[psutil.Process], None] | None,
) -> Seen:
    """A process that is killed is replaced by its supervisor."""
    with (
        scene.home() as home,
        started(home, "--engine", "--processes", "1") as server,
        Traffic(server.address, customers=scene.customers) as traffic,
    ):
        engine = _engine_of(server)
        time.sleep(USUAL_S)
        begin_time = return_time = time.monotonic()
        leave(engine)
        if come_back is not None:
            time.sleep(AWAY_S)
            return_time = time.monotonic()
            come_back(engine)
        if come_back is None:
            traffic.until(lambda answer: answer.level == POPULARITY)
        back_time = traffic.until(lambda answer: answer.level not in ("", POPULARITY))
        time.sleep(USUAL_S)
    during = traffic.between(begin_time, back_time)
    return Seen(
        [
            *failed(during),
            p99(during, goal=1000.0),
            Figure("by popularity", sum(each.level == POPULARITY for each in during)),
            Figure("model back after", back_time - return_time, "s", goal=10.0),
        ]
    )


def _engine_of(server: Server) -> psutil.Process:
    """Of the processes that were forked, the one that listens to no port."""
    forked = [each for each in server.processes() if "forkserver" in " ".join(each.cmdline())]
    last = [each for each in forked if not each.children()]
    [engine] = [each for each in last if not each.net_connections("inet")]
    return engine
