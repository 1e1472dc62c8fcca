"""The manifests as they render: every overlay and combination is what Kubernetes understands."""

from itertools import combinations
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml
from interplay.v1 import customer_service_pb2, personalization_service_pb2

from tests.custom_resources import SHAPES, published_schemas, strays
from tests.manifests import K8S, OVERLAYS, Manifest, composed, of_kind, overlay, pods, rendered

VERSIONS = ("1.33", "1.34", "1.35", "1.36", "1.37")
# Those that mount into others come last; raycronjob is retraining with another schedule.
COMPONENTS = (
    "redis-dev",
    "nats-dev",
    "mlflow-dev",
    "history",
    "retraining",
    "raycronjob",
    "monitoring",
    "autoscale-keda",
    "gateway",
    "mtls-cert-manager",
    "trust-network",
    "otel",
    "gpu",
    "signed-models",
    "model-volume",
)
EITHER = {"retraining", "raycronjob"}
ALL = [tuple(each for each in COMPONENTS if each != one) for one in sorted(EITHER)]
PAIRS = [each for each in combinations(COMPONENTS, 2) if set(each) != EITHER]


def refused(manifest: Manifest, version: str) -> list[str]:
    """Why Kubernetes, or whoever knows a custom resource, would refuse it."""
    kind = f"{manifest['apiVersion']} {manifest['kind']}"
    if kind in SHAPES:
        return strays(manifest["spec"], SHAPES[kind], kind)
    try:
        kubernetes_validate.validate(manifest, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{kind} {manifest['metadata']['name']}: {error}"]
    except kubernetes_validate.SchemaNotFoundError:
        return [f"{kind}: Kubernetes {version} has no such kind"]
    return []


def as_pods(manifests: list[Manifest]) -> list[Manifest]:
    """The pods of custom resources, which their own schemas say nothing of."""
    return [
        {"apiVersion": "v1", "kind": "Pod", **pod}
        for owner, pod in pods(manifests)
        if owner["kind"].startswith("Ray")
    ]


def test_there_is_no_component_that_is_not_tried() -> None:
    assert set(COMPONENTS) == {each.name for each in (K8S / "components").iterdir()}
    assert set(OVERLAYS) == {each.name for each in (K8S / "overlays").iterdir()}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_is_valid_in_every_version(name: str, version: str) -> None:
    manifests = overlay(name)
    found = [*manifests, *as_pods(manifests)]
    assert [why for each in found for why in refused(each, version)] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_all_components_at_once_are_valid_in_every_version(tmp_path: Path, version: str) -> None:
    for number, components in enumerate(ALL):
        (folder := tmp_path / str(number)).mkdir()
        manifests = composed(folder, components)
        found = [*manifests, *as_pods(manifests)]
        assert [why for each in found for why in refused(each, version)] == []


@pytest.mark.parametrize("components", [*[(each,) for each in COMPONENTS], *PAIRS], ids=str)
def test_any_two_components_go_together(tmp_path: Path, components: tuple[str, ...]) -> None:
    manifests = composed(tmp_path, components)
    assert [why for each in manifests for why in refused(each, VERSIONS[-1])] == []
    names = [(each["kind"], each["metadata"]["name"]) for each in manifests]
    assert len(names) == len(set(names))


def test_the_validators_know_a_wrong_manifest() -> None:
    [deployment] = of_kind(rendered(K8S / "base"), "Deployment")
    wrong = {**deployment, "spec": {**deployment["spec"], "replica": 2}}
    assert "replica" in refused(wrong, "1.37")[0]
    removed = {"apiVersion": "policy/v1beta1", "kind": "PodDisruptionBudget", "metadata": {}}
    assert refused(removed, "1.33") == [
        "policy/v1beta1 PodDisruptionBudget: Kubernetes 1.33 has no such kind"
    ]
    scaled = {"minReplicas": 2, "maxReplicaCount": "12"}
    shape = SHAPES["keda.sh/v1alpha1 ScaledObject"]
    assert strays(scaled, shape, "it") == [
        "it.minReplicas: there is no such field",
        "it.maxReplicaCount: '12' is no integer",
    ]


def test_custom_resources_are_valid_by_their_published_schemas(tmp_path: Path) -> None:
    schemas = published_schemas()
    if not schemas:
        pytest.skip("no definitions lie in .interplay/crds: see the README")
    for manifest in [*composed(tmp_path, ALL[0]), *overlay("gpu")]:
        kind = f"{manifest['apiVersion']} {manifest['kind']}"
        if kind in SHAPES:
            jsonschema.Draft202012Validator(schemas[kind]).validate(manifest)


def test_dashboards_and_other_files_are_what_they_say(tmp_path: Path) -> None:
    maps = of_kind(composed(tmp_path, ("nats-dev", "monitoring")), "ConfigMap")
    [board] = [each for each in maps if "dashboard.json" in each["data"]]
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert yaml.safe_load(board["data"]["dashboard.json"])["title"] == "Interplay"


def test_the_route_leads_to_what_frontends_and_customer_care_call(tmp_path: Path) -> None:
    manifests = composed(tmp_path, ("gateway",))
    [route] = of_kind(manifests, "GRPCRoute")
    [rule] = route["spec"]["rules"]
    called = {each["method"]["service"] for each in rule["matches"]}
    known = {
        f"{module.DESCRIPTOR.package}.{name}"
        for module in (personalization_service_pb2, customer_service_pb2)
        for name in module.DESCRIPTOR.services_by_name
    }
    assert called == known
    [target] = rule["backendRefs"]
    services = {each["metadata"]["name"]: each["spec"] for each in of_kind(manifests, "Service")}
    assert [each["port"] for each in services[target["name"]]["ports"]] == [target["port"]]
