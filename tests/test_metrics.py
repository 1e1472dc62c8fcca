"""What Prometheus fetches: of one process, and of several at one place."""

import asyncio
import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import grpc
import numpy as np
import pytest

from features.settings import Home
from serving.metrics import Metrics, forget, serve_all
from serving.server import Server, StartError
from serving.settings import ServingSettings
from tests.artefacts import publish, write_artefact
from tests.running import Running, add_items, decide, record, viewed


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def fetched(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    samples = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in samples}


def test_each_recorded_call_counts_once_it_is_visible(home: Path, customer: str) -> None:
    port = free_port()
    with Running(home, metrics_port=port) as server:
        assert fetched(port)["interplay_visible_seconds_count"] == 0
        record(server, viewed(customer, "item-1"), viewed(customer, "item-2"))
        record(server, viewed(customer, "item-3"))
        samples = fetched(port)
        assert samples["interplay_visible_seconds_count"] == 2
        assert samples['interplay_visible_seconds_bucket{le="+Inf"}'] == 2
        assert samples["interplay_visible_seconds_sum"] > 0


def test_calls_are_counted_by_how_they_ended(home: Path, customer: str) -> None:
    port = free_port()
    with Running(home, metrics_port=port) as server:
        record(server, viewed(customer, "eggs"))
        decide(server, customer)
        decide(server, customer, channel="kiosk")
        decide(server, customer, channel="hologram")
        for k in (-1, 101):
            with pytest.raises(grpc.RpcError):
                decide(server, customer, channel="app", k=k)
        samples = fetched(port)
    calls = {name: count for name, count in samples.items() if "_calls_total" in name}
    ask = 'interplay_calls_total{channel="%s",code="%s",method="DecideInteraction"}'
    write = 'interplay_calls_total{channel="",code="OK",method="RecordInteractions"}'
    assert calls == {
        write: 1,
        ask % ("web", "OK"): 1,
        ask % ("other", "OK"): 2,
        ask % ("app", "INVALID_ARGUMENT"): 2,
    }
    assert samples['interplay_call_seconds_count{method="DecideInteraction"}'] == 5
    assert samples['interplay_call_seconds_sum{method="DecideInteraction"}'] > 0
    assert not [name for name in samples if not name.startswith("interplay_")]


def test_decisions_tell_where_their_time_went(home: Path, customer: str) -> None:
    port = free_port()
    with Running(home, metrics_port=port) as server:
        record(server, *(viewed(customer, "eggs") for _ in range(3)))
        before = fetched(port)
        decide(server, customer)
        samples = {name: value - before.get(name, 0) for name, value in fetched(port).items()}
    for stage in ("queue", "features", "model", "policy"):
        assert samples[f'interplay_stage_seconds_count{{stage="{stage}"}}'] == 1
        assert samples[f'interplay_stage_seconds_sum{{stage="{stage}"}}'] > 0
    assert samples["interplay_batch_size_count"] == samples["interplay_batch_size_sum"] == 1
    assert samples["interplay_positions_total"] == 3
    assert samples["interplay_padding_positions_total"] == 0
    assert samples['interplay_decisions_total{action="OFFER",degradation="NONE"}'] == 1
    assert samples['interplay_queue_depth{queue="decisions"}'] == 0


def test_padding_is_told() -> None:
    tokens_BLF = np.zeros((4, 5, 6), np.int32)
    tokens_BLF[0, :, 0] = 7
    tokens_BLF[1, 3:, 0] = 9
    metrics = Metrics()
    metrics.ran(tokens_BLF)
    assert metrics.registry.get_sample_value("interplay_batch_size_sum") == 4
    assert metrics.registry.get_sample_value("interplay_positions_total") == 20
    assert metrics.registry.get_sample_value("interplay_padding_positions_total") == 13


def test_what_serves_is_told_and_what_has_served_is_not(tmp_path: Path) -> None:
    home, port = Home(tmp_path / "home"), free_port()
    add_items(home.path)
    with Running(home.path, metrics_port=port) as server:
        assert serving_models(port) == {}
        for version in ("1", "2"):
            publish(home, write_artefact(tmp_path / version))
            server.refresh()
            assert serving_models(port) == {
                f'{{provider="CPUExecutionProvider",version="{version}"}}': 1
            }


def serving_models(port: int) -> dict[str, float]:
    name = "interplay_model_info"
    return {key[len(name) :]: value for key, value in fetched(port).items() if name in key}


PROCESS = """
import sys
from serving.metrics import Metrics
metrics = Metrics()
metrics.channels = {"web"}
metrics.called("DecideInteraction", "web", "OK", 0.004)
metrics.depth_of("model")(3)
metrics.visible_s.observe(0.3)
for version in sys.argv[1:]:
    metrics.serves(version, "CPUExecutionProvider")
print("counted", flush=True)
sys.stdin.read()
"""


def test_several_processes_are_told_as_one(tmp_path: Path) -> None:
    first, second = counting(tmp_path, "1"), counting(tmp_path, "1", "2")
    port = free_port()
    close = serve_all("127.0.0.1", port, tmp_path)
    try:
        call = 'interplay_calls_total{channel="web",code="OK",method="DecideInteraction"}'
        model = 'interplay_model_info{provider="CPUExecutionProvider",version="%s"}'
        samples = fetched(port)
        assert (samples[call], samples["interplay_visible_seconds_count"]) == (2, 2)
        assert samples['interplay_visible_seconds_bucket{le="0.2"}'] == 0
        assert samples['interplay_queue_depth{queue="model"}'] == 6
        assert (samples[model % 1], samples[model % 2]) == (1, 1)
        first.communicate()
        forget(first.pid, tmp_path)
        samples = fetched(port)
        assert samples[call] == 2
        assert samples['interplay_queue_depth{queue="model"}'] == 3
        assert model % 1 not in samples
        assert samples[model % 2] == 1
    finally:
        second.communicate()
        close()


def counting(folder: Path, *versions: str) -> subprocess.Popen[str]:
    """A process that has counted one call, and waits."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, *versions],
        env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "counted\n"
    return process


def test_a_taken_port_is_told(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        settings = ServingSettings(home=home, port=0, metrics_port=port, insecure=True)
        with pytest.raises(StartError, match=f"cannot show metrics on 127.0.0.1:{port}"):
            asyncio.run(Server(settings).startup())
