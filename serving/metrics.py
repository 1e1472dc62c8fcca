"""Metrics: what an operator watches, for Prometheus to fetch."""

from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Histogram, start_http_server
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0, 300.0)
OURS = "interplay_"
MODEL = "interplay_model_info"


class Metrics:
    """The metrics of one process."""

    def __init__(self) -> None:
        """Starts at nothing."""
        counted = CollectorRegistry()
        self.registry = _shown(counted)
        self.visible_s = Histogram(
            "interplay_visible_seconds",
            "How long calls that wrote took from durable to counting in every decision",
            buckets=BUCKETS_S,
            registry=counted,
        )


class _Shown(Collector):
    """Of what was counted: ours (Feast counts as well), and only the models that serve now."""

    def __init__(self, counted: Collector) -> None:
        self._counted = counted

    def collect(self) -> Iterator[Metric]:
        for metric in self._counted.collect():
            if metric.name.startswith(OURS):
                metric.samples = [
                    each
                    for each in metric.samples
                    if not each.name.endswith("_created") and (each.name != MODEL or each.value)
                ]
                yield metric


def _shown(counted: Collector) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(_Shown(counted))
    return registry


def serve(host: str, port: int, registry: CollectorRegistry) -> Callable[[], None]:
    """Answers Prometheus over HTTP at /metrics; gives what ends that. Raises OSError."""
    server, thread = start_http_server(port, host, registry)

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return close


def serve_all(host: str, port: int, folder: Path) -> Callable[[], None]:
    """The same for all processes that were started with PROMETHEUS_MULTIPROC_DIR=folder."""
    return serve(host, port, _shown(MultiProcessCollector(None, str(folder))))


def forget(pid: int, folder: Path) -> None:
    """A process has died: what it was just doing counts no more; what it has done still does."""
    mark_process_dead(pid, str(folder))
