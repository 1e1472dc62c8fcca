"""Metrics: what an operator watches, for Prometheus to fetch."""

from prometheus_client import CollectorRegistry, Histogram

BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0, 300.0)


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        """Starts at nothing."""
        self.registry = CollectorRegistry()
        self.visible_s = Histogram(
            "interplay_visible_seconds",
            "How long calls that wrote took from durable to counting in every decision",
            buckets=BUCKETS_S,
            registry=self.registry,
        )
