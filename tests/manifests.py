"""Manifests as kubectl renders them, and the pods that they make."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

K8S = Path(__file__).parent.parent / "k8s"
OVERLAYS = ("cpu", "gpu", "local")
POD_PATHS = {
    "Deployment": ("spec.template",),
    "StatefulSet": ("spec.template",),
    "CronJob": ("spec.jobTemplate.spec.template",),
    "RayJob": (
        "spec.rayClusterSpec.headGroupSpec.template",
        "spec.rayClusterSpec.workerGroupSpecs.0.template",
    ),
    "RayCronJob": (
        "spec.jobTemplate.rayClusterSpec.headGroupSpec.template",
        "spec.jobTemplate.rayClusterSpec.workerGroupSpecs.0.template",
    ),
}
Manifest = dict[str, Any]


def need(program: str) -> None:
    """Skips the test where a program is not installed; on CI, fails it."""
    if shutil.which(program) is None:
        reason = f"{program} is not installed"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)


@cache
def rendered(folder: Path) -> list[Manifest]:
    """What `kubectl apply -k` would apply."""
    need("kubectl")
    command = ["kubectl", "kustomize", str(folder)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return list(yaml.safe_load_all(run.stdout))


def overlay(name: str) -> list[Manifest]:
    """One of the overlays."""
    return rendered(K8S / "overlays" / name)


def composed(folder: Path, components: Sequence[str]) -> list[Manifest]:
    """The base with these components, in this order."""
    k8s = Path(os.path.relpath(K8S, folder))
    kustomization = {
        "namespace": "interplay",
        "resources": [str(k8s / "base")],
        "components": [str(k8s / "components" / each) for each in components],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return rendered(folder)


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    """Those of a kind."""
    return [each for each in manifests if each["kind"] == kind]


def at(value: Any, path: str) -> Any:
    """What stands at a path such as spec.items.0.name."""
    for step in path.split("."):
        value = value[int(step) if step.isdecimal() else step]
    return value


def pods(manifests: list[Manifest]) -> Iterator[tuple[Manifest, Manifest]]:
    """Each workload with each of its pod templates."""
    for manifest in manifests:
        for path in POD_PATHS.get(manifest["kind"], ()):
            yield manifest, at(manifest, path)


def our_pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """The templates of the pods that run our programs, by component."""
    for _, pod in pods(manifests):
        labels = pod["metadata"]["labels"]
        if labels["app.kubernetes.io/name"] == "interplay":
            yield labels["app.kubernetes.io/component"], pod


def containers(pod: Manifest) -> list[Manifest]:
    """All of a pod, those that run first too."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def variables(manifests: list[Manifest], container: Manifest) -> dict[str, str]:
    """All environment variables that a container is given."""
    maps = {each["metadata"]["name"]: each["data"] for each in of_kind(manifests, "ConfigMap")}
    given: dict[str, str] = {}
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            given |= maps[source["configMapRef"]["name"]]
    return given | {each["name"]: each.get("value", "") for each in container.get("env", [])}
