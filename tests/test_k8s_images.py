"""The images: each has what it needs and no more, and the manifests name those that are built."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from tests.manifests import K8S, containers, of_kind, our_pods, overlay, pods

ROOT = K8S.parent
DOCKERFILE = (K8S / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINNED = dict(
    line.split("==") for line in (ROOT / ".ci" / "constraints.txt").read_text().splitlines()
)
IMAGES = {"serving": "cpu,tracing", "serving-gpu": "gpu,tracing", "training": "cpu,cluster"}


def brought(extras: str) -> set[str]:
    """The packages that these extras ask for."""
    found, wanted = set(), extras.split(",")
    while wanted:
        for each in map(Requirement, PROJECT["optional-dependencies"][wanted.pop()]):
            found.add(each.name)
            wanted += each.extras if each.name == PROJECT["name"] else ()
    return found


def test_each_image_installs_its_extras() -> None:
    built = re.findall(r"^FROM packages AS (\S+)-packages\nRUN (.*)", DOCKERFILE, re.MULTILINE)
    assert dict(built) == {
        name: f"install-extras /dist/*.whl {extras} /opt/interplay"
        for name, extras in IMAGES.items()
    }
    assert (K8S / "install").stat().st_mode & 0o111


def test_serving_has_neither_torch_nor_ray() -> None:
    assert not {"torch", "ray", "onnxscript"} & brought(IMAGES["serving"])
    assert "onnxruntime" in brought(IMAGES["serving"])
    assert "onnxruntime" not in brought(IMAGES["serving-gpu"])
    assert "onnxruntime-gpu" in brought(IMAGES["serving-gpu"])
    assert {"torch", "ray", "onnxruntime"} <= brought(IMAGES["training"])


def test_the_base_comes_by_digest_and_nobody_is_root() -> None:
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.MULTILINE)
    named = {name for _, name in stages}
    assert [base for base, _ in stages if base not in named] == ["${BASE}@${DIGEST}"]
    assert set(IMAGES) <= named
    [user] = re.findall(r"^USER (\d+):\d+$", DOCKERFILE, re.MULTILINE)
    for _, pod in our_pods(overlay("gpu")):
        assert pod["spec"]["securityContext"]["runAsUser"] == int(user)


@pytest.mark.parametrize("name", ["cpu", "gpu", "local"])
def test_manifests_name_images_that_are_built(name: str) -> None:
    known = {f"interplay-{each}:{PROJECT['version']}" for each in IMAGES}
    for _, pod in our_pods(overlay(name)):
        assert {each["image"] for each in containers(pod)} <= known


def test_versions_are_those_that_are_tested() -> None:
    [job] = of_kind(overlay("cpu"), "RayJob")
    assert job["spec"]["rayClusterSpec"]["rayVersion"] == PINNED["ray"]
    images = [each["image"] for _, pod in pods(overlay("local")) for each in containers(pod)]
    assert f"ghcr.io/mlflow/mlflow:v{PINNED['mlflow-skinny']}" in images


def test_checkov_finds_nothing_that_is_not_explained(tmp_path: Path) -> None:
    own = ROOT / ".interplay" / "checkov" / "bin" / "checkov"
    program = shutil.which("checkov") or (str(own) if own.exists() else None)
    if program is None:
        reason = "checkov is not installed: see .ci/run"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    for name in ("cpu", "gpu", "local"):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump_all(overlay(name)))
    shutil.copy(K8S / "Dockerfile", tmp_path)
    command = [program, "--config-file", str(K8S / "checkov.yaml"), "--directory", str(tmp_path)]
    frameworks = ["--framework", "kubernetes", "dockerfile"]
    run = subprocess.run([*command, *frameworks], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
    lines = (K8S / "checkov.yaml").read_text().splitlines()
    assert all("#" in line for line in lines if "CKV" in line)
