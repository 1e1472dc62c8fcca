"""Metrics: what an operator watches, for Prometheus to fetch."""

from collections.abc import Callable, Collection, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Protocol

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from features.encoding import ITEM, PADDING_ROW
from features.rollout import ALIASES, KINDS

CALL_S = (0.001, 0.002, 0.005, 0.007, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0, 300.0)
STAGE_S = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 5.0)
BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
OURS = "interplay_"
MODEL, BESIDE = "interplay_model_info", "interplay_rollout_info"
PRESENT = (MODEL, BESIDE)  # of which only what is so now is shown


class Stages(Protocol):
    """Where it is noted how long parts of a decision take."""

    queue_s: Histogram
    model_s: Histogram
    policy_s: Histogram


class Aside:
    """The same for what is no decision: it is noted nowhere."""

    def __init__(self) -> None:
        """Belongs to no registry."""
        self.queue_s = self.model_s = self.policy_s = Histogram("aside", "", registry=None)


class Metrics:
    """The metrics of one process. Any thread may report."""

    def __init__(self) -> None:
        """Starts at nothing."""
        counted = CollectorRegistry()
        counter = partial(Counter, registry=counted)
        gauge = partial(Gauge, registry=counted, multiprocess_mode="livesum")
        histogram = partial(Histogram, registry=counted)
        self.registry = _shown(counted)
        self.channels: Collection[str] = ()  # that have a label of their own
        self._children: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        self._decided: dict[tuple[str, str], Counter] = {}
        self._serving: tuple[str, str] | None = None

        text = "Calls by how they ended; a channel that the vocabulary does not list is 'other'"
        self._calls = counter("interplay_calls_total", text, ["method", "channel", "code"])
        text = "How long whole calls took, refused ones included"
        self._call_s = histogram("interplay_call_seconds", text, ["method"], buckets=CALL_S)
        text = "Where decisions spend their time; what a batch shares is counted once a batch"
        stage_s = histogram("interplay_stage_seconds", text, ["stage"], buckets=STAGE_S)
        self.queue_s, self.features_s = stage_s.labels("queue"), stage_s.labels("features")
        self.model_s, self.policy_s = stage_s.labels("model"), stage_s.labels("policy")
        text = "Calls refused because of who called, for what, or how often"
        self._refused = counter("interplay_refused_calls_total", text, ["reason"])
        text = "When the server's certificate expires, in Unix time; 0 without TLS"
        self.certificate_expiry_s = Gauge(
            "interplay_certificate_expiry_seconds",
            text,
            registry=counted,
            multiprocess_mode="livemin",
        ).set
        text = "Calls left waiting when the latest batch was taken"
        self._depth = gauge("interplay_queue_depth", text, ["queue"])

        text = "Customers in one run of the model"
        self._batch_size = histogram("interplay_batch_size", text, buckets=BATCH)
        text = "Places for interactions that the model has run over"
        self._positions = counter("interplay_positions_total", text)
        text = "Those of interplay_positions_total that held no interaction"
        self._padding = counter("interplay_padding_positions_total", text)
        text = "Processes that answer with this version of the model, and what it runs on"
        self._model = gauge(MODEL, text, ["version", "provider"])

        text = "Processes that hold this version beside the champion, by alias"
        self._beside = gauge(BESIDE, text, ["alias", "version"])
        text = (
            "Runs of a canary: ok, failed, late; busy: not begun, for the one before has not ended"
        )
        self._runs_beside = counter("interplay_rollout_runs_total", text, ["alias", "ending"])
        text = "How long they took, a shadow's too, and the champion's for a canary's questions"
        self._beside_s = histogram("interplay_rollout_seconds", text, ["alias"], buckets=STAGE_S)
        text = "Versions beside the champion that this process has seen withdrawn, and why"
        self._withdrawn = counter("interplay_withdrawals_total", text, ["alias", "reason"])
        for alias, kind in product(ALIASES, KINDS):
            self._withdrawn.labels(alias, kind)  # shown as 0, so that the first one is an increase
        text = "Decisions that a shadow was asked in: compared, failed; dropped, for it was busy"
        self._shadowed = counter("interplay_shadow_decisions_total", text, ["ending"])
        text = "Of those compared, in which the most valuable item was the champion's, too"
        self._agreed = counter("interplay_shadow_agreements_total", text)
        text = "Of those compared, the shares of the champion's items that were the shadow's, too"
        self._overlap = counter("interplay_shadow_overlap_total", text)

        text = "Decisions by how they were degraded, and what they are: OFFER, or why silence"
        self._decisions = counter("interplay_decisions_total", text, ["degradation", "action"])
        text = "Decisions in an experiment, by arm, and what they are: OFFER, or why silence"
        self._arms = counter("interplay_arm_decisions_total", text, ["arm", "action"])
        text = "Decisions that the decision log has taken, and those that it had to drop"
        self._logged = counter("interplay_logged_decisions_total", text, ["ending"])
        text = "How stale decisions were while something logged did not count yet"
        self._staleness_s = histogram("interplay_staleness_seconds", text, buckets=CALL_S)
        text = "Conversations that are open"
        self.conversations = gauge("interplay_conversations", text)
        text = "How long calls that wrote took from durable to counting in every decision"
        self.visible_s = histogram("interplay_visible_seconds", text, buckets=CALL_S)

    def called(self, method: str, channel: str, code: str, seconds: float) -> None:
        """A call has ended."""
        if channel and channel not in self.channels:
            channel = "other"
        key = method, channel, code
        children = self._children.get(key)
        if children is None:
            children = self._calls.labels(*key), self._call_s.labels(method)
            self._children[key] = children
        children[0].inc()
        children[1].observe(seconds)

    def refused(self, reason: str) -> None:
        """A call was refused, see serving.access."""
        self._refused.labels(reason).inc()

    def depth_of(self, queue: str) -> Callable[[float], None]:
        """What is to be told how many wait in a queue."""
        return self._depth.labels(queue).set

    def ran(self, tokens_BLF: np.ndarray) -> None:
        """The model has read this."""
        rows_BL = tokens_BLF[:, :, ITEM]
        self._batch_size.observe(len(rows_BL))
        self._positions.inc(rows_BL.size)
        self._padding.inc(int(np.count_nonzero(rows_BL == PADDING_ROW)))

    def decided(self, degradation: str, action: str, staleness_s: float) -> None:
        """A decision was made: an offer, or silence for a reason."""
        child = self._decided.get((degradation, action))
        if child is None:
            child = self._decisions.labels(degradation, action)
            self._decided[degradation, action] = child
        child.inc()
        if staleness_s:
            self._staleness_s.observe(staleness_s)

    def compared(self, arm: str, action: str) -> None:
        """A decision was made in an arm of an experiment; empty where there is none."""
        if arm:
            self._arms.labels(arm, action).inc()

    def logged(self, ending: str, count: int) -> None:
        """Decisions were written to the decision log, or dropped."""
        self._logged.labels(ending).inc(count)

    def serves(self, version: str, provider: str) -> None:
        """Answers come from this model from now on."""
        if self._serving == (version, provider):
            return
        if self._serving is not None:
            self._model.labels(*self._serving).set(0)
        self._serving = version, provider
        self._model.labels(*self._serving).set(1)

    # ---- Beside the champion: `alias` is one of features.rollout.ALIASES ----------------------

    def holds(self, alias: str, version: str, *, held: bool) -> None:
        """A version is held beside the champion from now on, or no more."""
        self._beside.labels(alias, version).set(int(held))

    def ran_beside(self, alias: str, ending: str) -> None:
        """A canary's run has ended, or did not begin."""
        self._runs_beside.labels(alias, ending).inc()

    def took_beside(self, alias: str, seconds: float) -> None:
        """So long; `alias` may be the champion, asked the same as a canary."""
        self._beside_s.labels(alias).observe(seconds)

    def withdrew(self, alias: str, kind: str) -> None:
        """A version was withdrawn, here or elsewhere; `kind` is one of features.rollout.KINDS."""
        self._withdrawn.labels(alias, kind).inc()

    def shadowed(self, ending: str, count: int = 1) -> None:
        """A shadow was asked in decisions, or would have been."""
        self._shadowed.labels(ending).inc(count)

    def agreed(self, first: bool, overlap: float) -> None:
        """How far a shadow would have decided likewise."""
        self._agreed.inc(first)
        self._overlap.inc(overlap)


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
                    if not each.name.endswith("_created")
                    and (each.name not in PRESENT or each.value)
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
