"""The kustomize base, as kubectl renders it."""

import dataclasses
import importlib
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from features.settings import FeatureSettings
from serving.settings import ServingSettings

K8S = Path(__file__).parent.parent / "k8s"
Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed: the base cannot be rendered")
    command = ["kubectl", "kustomize", str(K8S / "base")]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return list(yaml.safe_load_all(run.stdout))


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [each for each in manifests if each["kind"] == kind]


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """The pod templates by the program they run."""
    [deployment] = of_kind(manifests, "Deployment")
    [cron_job] = of_kind(manifests, "CronJob")
    return {
        "serving": deployment["spec"]["template"],
        "training": cron_job["spec"]["jobTemplate"]["spec"]["template"],
    }


def containers(pod: Manifest) -> list[Manifest]:
    """All of a pod, those that run first too."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def variables(manifests: list[Manifest], container: Manifest) -> set[str]:
    """The names of all environment variables that a container is given."""
    maps = {each["metadata"]["name"]: each["data"] for each in of_kind(manifests, "ConfigMap")}
    names = {each["name"] for each in container.get("env", [])}
    for source in container.get("envFrom", []):
        names |= set(maps[source["configMapRef"]["name"]])
    return names


def settings_of(container: Manifest) -> set[str]:
    """The variables that the command which a container runs would read."""
    program, *names = container["args"]
    command = importlib.import_module(f"{program}.__main__").main
    for name in names:
        if not name.startswith("--"):
            command = command.commands[name]
    return {option.envvar for option in command.params if option.envvar}


def test_selectors_find_the_pods_they_are_meant_for(manifests: list[Manifest]) -> None:
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(manifests).items()}
    [deployment] = of_kind(manifests, "Deployment")
    [service] = of_kind(manifests, "Service")
    [together] = pods(manifests)["training"]["spec"]["affinity"]["podAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    for selector in (
        deployment["spec"]["selector"]["matchLabels"],
        service["spec"]["selector"],
        together["labelSelector"]["matchLabels"],
    ):
        assert selector.items() <= labels["serving"].items()
        assert not selector.items() <= labels["training"].items()


def test_service_reaches_the_port_that_the_server_listens_on(manifests: list[Manifest]) -> None:
    [container] = pods(manifests)["serving"]["spec"]["containers"]
    [service] = of_kind(manifests, "Service")
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    [target] = [each["targetPort"] for each in service["spec"]["ports"]]
    data = [each["data"] for each in of_kind(manifests, "ConfigMap")]
    [listening] = [each["INTERPLAY_PORT"] for each in data if "INTERPLAY_PORT" in each]
    assert str(ports[target]) == listening
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert str(container[probe]["grpc"]["port"]) == listening


def test_every_variable_is_a_setting_of_the_command_that_gets_it(
    manifests: list[Manifest],
) -> None:
    for pod in pods(manifests).values():
        for container in containers(pod):
            given = variables(manifests, container)
            assert {each for each in given if each.startswith("INTERPLAY_")}
            assert given <= settings_of(container)


def test_what_the_server_recorded_joins_the_history_before_training(
    manifests: list[Manifest],
) -> None:
    commands = [each["args"] for each in containers(pods(manifests)["training"])]
    names = [" ".join(each) for each in commands]
    assert names.index("features drain") < names.index("features retain")
    assert names[-2:] == ["features erase --pending", "training train"]


def test_programs_that_share_the_home_agree_on_it(manifests: list[Manifest]) -> None:
    every = [each for pod in pods(manifests).values() for each in containers(pod)]
    shared = {f"INTERPLAY_{field.name.upper()}" for field in dataclasses.fields(FeatureSettings)}
    [agreed] = {frozenset(variables(manifests, each) & shared) for each in every}
    assert "INTERPLAY_HOME" in agreed
    [home] = [
        each["data"]["INTERPLAY_HOME"]
        for each in of_kind(manifests, "ConfigMap")
        if "INTERPLAY_HOME" in each["data"]
    ]
    for container in every:
        assert home in {each["mountPath"] for each in container["volumeMounts"]}


def test_volumes_and_claims_that_are_mounted_exist(manifests: list[Manifest]) -> None:
    claims = {each["metadata"]["name"] for each in of_kind(manifests, "PersistentVolumeClaim")}
    for pod in pods(manifests).values():
        volumes = {each["name"]: each for each in pod["spec"]["volumes"]}
        for container in containers(pod):
            assert {each["name"] for each in container["volumeMounts"]} == set(volumes)
        for volume in volumes.values():
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims


def test_pods_meet_the_restricted_pod_security_standard(manifests: list[Manifest]) -> None:
    for pod in pods(manifests).values():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for volume in spec["volumes"]:
            assert set(volume) - {"name"} <= {"persistentVolumeClaim", "emptyDir"}
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_pods_are_bounded_and_not_told_of_services(manifests: list[Manifest]) -> None:
    for pod in pods(manifests).values():
        # A Service named interplay would otherwise set INTERPLAY_PORT to a URL.
        assert pod["spec"]["enableServiceLinks"] is False
        for container in containers(pod):
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}
            assert set(container["resources"]["limits"]) == {"cpu", "memory"}


def test_one_server_writes_the_home_and_one_training_runs_at_a_time(
    manifests: list[Manifest],
) -> None:
    [deployment] = of_kind(manifests, "Deployment")
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    [cron_job] = of_kind(manifests, "CronJob")
    assert cron_job["spec"]["concurrencyPolicy"] == "Forbid"
    assert cron_job["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] > 0


def test_server_has_time_to_finish_its_calls(manifests: list[Manifest]) -> None:
    grace = pods(manifests)["serving"]["spec"]["terminationGracePeriodSeconds"]
    assert grace > ServingSettings().grace_s


def test_images_are_targets_of_the_dockerfile_and_training_stays_out_of_serving(
    manifests: list[Manifest],
) -> None:
    text = (K8S / "Dockerfile").read_text()
    targets = set(re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE))
    for name, pod in pods(manifests).items():
        [container] = pod["spec"]["containers"]
        assert container["image"].startswith(f"interplay-{name}:")
        assert name in targets
    assert re.findall(r"whl\)\[(\S+)\]", text) == ["cpu", "cpu,training"]
    user = f"--uid {pods(manifests)['serving']['spec']['securityContext']['runAsUser']} "
    assert user in text
