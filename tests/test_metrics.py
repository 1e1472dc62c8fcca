"""What Prometheus fetches: how long recorded calls took to count."""

import asyncio
import socket
import urllib.request
from pathlib import Path

import pytest

from serving.server import Server, StartError
from serving.settings import ServingSettings
from tests.running import Running, record, viewed


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


def test_a_taken_port_is_told(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        settings = ServingSettings(home=home, port=0, metrics_port=port)
        with pytest.raises(StartError, match=f"cannot show metrics on 127.0.0.1:{port}"):
            asyncio.run(Server(settings).startup())
