"""The network policies: names can be asked for, what is needed is reached, and nothing else is."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.manifests import Manifest, composed, of_kind, overlay, pods
from tests.test_k8s import ALL

DNS = {"kubernetes.io/metadata.name": "kube-system"}, {"k8s-app": "kube-dns"}
MONITORING = {"kubernetes.io/metadata.name": "monitoring"}, {"app.kubernetes.io/name": "prometheus"}
FRONTEND = {"interplay-frontends": "true"}, {"app": "shop"}
OURS = {"kubernetes.io/metadata.name": "interplay"}


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    return composed(tmp_path_factory.mktemp("all"), ALL[-1])


def matches(selector: Any, labels: dict[str, str]) -> bool:
    """Whether a selector, of matchLabels alone, takes these labels; an empty one takes all."""
    assert set(selector) <= {"matchLabels"}
    return selector.get("matchLabels", {}).items() <= labels.items()


def takes(peer: Any, namespace: dict[str, str], labels: dict[str, str]) -> bool:
    """Whether a peer of a policy is such a pod; without namespaceSelector it is one of ours."""
    if "ipBlock" in peer:
        return False
    within = peer.get("namespaceSelector", {"matchLabels": OURS})
    return matches(within, namespace) and matches(peer.get("podSelector", {}), labels)


def may(
    manifests: list[Manifest],
    direction: str,
    labels: dict[str, str],
    other: tuple[dict[str, str], dict[str, str]],
    port: int | str,
) -> bool:
    """Whether a pod of ours may send to (Egress) or be reached by (Ingress) another at a port."""
    side = {"Egress": "to", "Ingress": "from"}[direction]
    policies = [
        each["spec"]
        for each in of_kind(manifests, "NetworkPolicy")
        if direction in each["spec"]["policyTypes"] and matches(each["spec"]["podSelector"], labels)
    ]
    assert policies  # nobody is left out by all of them
    for rule in (rule for each in policies for rule in each.get(direction.lower(), [])):
        ports = [each["port"] for each in rule.get("ports", [])]
        peers = rule.get(side, [])
        if (not ports or port in ports) and (not peers or any(takes(p, *other) for p in peers)):
            return True
    return False


def labels_of(manifests: list[Manifest], component: str) -> dict[str, str]:
    """The labels that pods have: of ours by component, of others by name."""
    keys = ("app.kubernetes.io/component", "app.kubernetes.io/name")
    every: list[dict[str, str]] = [pod["metadata"]["labels"] for _, pod in pods(manifests)]
    return next(each for key in keys for each in every if each.get(key) == component)


def test_every_pod_may_ask_for_names_and_no_pod_is_without_a_policy(
    everything: list[Manifest],
) -> None:
    for manifests in (everything, overlay("cpu"), overlay("gpu"), overlay("local")):
        for _, pod in pods(manifests):
            assert may(manifests, "Egress", pod["metadata"]["labels"], DNS, 53)
            elsewhere = {"kubernetes.io/metadata.name": "shop"}, {"k8s-app": "kube-dns"}
            assert not may(manifests, "Egress", pod["metadata"]["labels"], elsewhere, 53)
        for policy in of_kind(manifests, "NetworkPolicy"):
            if policy["metadata"]["name"] == "dns":
                [rule] = policy["spec"]["egress"]
                assert {each["protocol"] for each in rule["ports"]} == {"UDP", "TCP"}


def test_serving_reaches_its_stores_and_nothing_else() -> None:
    manifests = overlay("cpu")
    serving = labels_of(manifests, "serving")
    stores = {"redis": 6379, "nats": 4222, "mlflow": 5000}
    for name, port in product(stores, {*stores.values(), 443, 8222}):
        other = OURS, {"app.kubernetes.io/name": name}
        assert may(manifests, "Egress", serving, other, port) == (stores[name] == port)
        outside = {"kubernetes.io/metadata.name": "shop"}, {"app.kubernetes.io/name": name}
        assert not may(manifests, "Egress", serving, outside, port)


def test_serving_is_reached_by_frontends_and_prometheus_alone() -> None:
    manifests = overlay("cpu")
    serving = labels_of(manifests, "serving")
    assert may(manifests, "Ingress", serving, FRONTEND, "grpc")
    assert not may(manifests, "Ingress", serving, FRONTEND, "metrics")
    assert not may(manifests, "Ingress", serving, FRONTEND, "health")
    assert may(manifests, "Ingress", serving, MONITORING, "metrics")
    assert not may(manifests, "Ingress", serving, MONITORING, "grpc")
    stranger = {"kubernetes.io/metadata.name": "shop"}, {"app": "shop"}
    for port in ("grpc", "health", "metrics"):
        assert not may(manifests, "Ingress", serving, stranger, port)
        assert not may(manifests, "Ingress", serving, (OURS, {"app": "intruder"}), port)


def test_components_open_what_they_need_and_no_more(everything: list[Manifest]) -> None:
    serving = labels_of(everything, "serving")
    collector = {"kubernetes.io/metadata.name": "observability"}, {"app": "collector"}
    gateway = {"kubernetes.io/metadata.name": "gateway"}, {"app": "envoy"}
    assert may(everything, "Egress", serving, collector, 4317)
    assert not may(everything, "Egress", serving, collector, 443)
    assert may(everything, "Ingress", serving, gateway, "grpc")
    assert not may(everything, "Ingress", serving, gateway, "metrics")
    for store, port in (("redis", "redis"), ("nats", "nats"), ("mlflow", "http")):
        labels = labels_of(everything, store)
        assert may(everything, "Ingress", labels, (OURS, serving), port)
        assert not may(everything, "Ingress", labels, (OURS, {"app": "intruder"}), port)
        assert not may(everything, "Egress", labels, (OURS, serving), "grpc")


def test_rays_nodes_reach_each_other_and_the_models(everything: list[Manifest]) -> None:
    training = labels_of(everything, "training")
    operator = {"a": "b"}, {"app.kubernetes.io/name": "kuberay-operator"}
    assert may(everything, "Egress", training, (OURS, training), 6379)
    assert may(everything, "Ingress", training, (OURS, training), 10001)
    assert may(everything, "Egress", training, (OURS, {"app.kubernetes.io/name": "mlflow"}), 5000)
    assert may(everything, "Ingress", training, operator, 8265)
    assert not may(everything, "Ingress", training, (OURS, {"app": "intruder"}), 8265)
    redis = OURS, {"app.kubernetes.io/name": "redis"}
    assert not may(everything, "Egress", training, redis, 6379)


def test_common_labels_do_not_reach_the_peers(tmp_path: Path) -> None:
    for policy in of_kind(composed(tmp_path, ALL[0]), "NetworkPolicy"):
        assert "part-of" in str(policy["metadata"].get("labels", "part-of"))
        assert "part-of" not in str(policy["spec"])
