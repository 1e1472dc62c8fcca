"""The pods of the manifests: what they run is real, and they may do no more than they must."""

import importlib
import shlex
from typing import Any

import pytest

from features.settings import FeatureSettings
from serving.settings import ServingSettings
from tests.manifests import (
    K8S,
    OVERLAYS,
    Manifest,
    composed,
    containers,
    of_kind,
    our_pods,
    overlay,
    pods,
    rendered,
    variables,
)
from tests.test_k8s import ALL

GIVEN = {  # Secrets that have to be there
    *("interplay-access", "interplay-serving-tls"),
    *("interplay-signing-key", "interplay-trusted-keys"),
}
TOKEN = "interplay-retraining"  # the one account that may do anything: it submits


@pytest.fixture(scope="module", params=[*OVERLAYS, "all components"])
def manifests(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[Manifest]:
    """What is applied, of each overlay; and all that there is at once."""
    if request.param in OVERLAYS:
        return overlay(request.param)
    return composed(tmp_path_factory.mktemp("all"), ALL[-1])


def commands(container: Manifest) -> list[list[str]]:
    """What a container runs of our programs: program, command, flags."""
    text = " ".join(container.get("command", []) + container.get("args", []))
    if "python -m " in text:  # in a shell
        return [shlex.split(each.split("\n")[0]) for each in text.split("python -m ")[1:]]
    return [container["args"]] if "args" in container else []


def options_of(command: list[str]) -> dict[str, Any]:
    """By flag, the options of a command; fails where there is no such command or flag."""
    program, *words = command
    found = importlib.import_module(f"{program}.__main__").main
    for word in words:
        if not word.startswith("--"):
            found = found.commands[word]
    options = {flag: each for each in found.params for flag in each.opts}
    assert [word for word in words if word.startswith("--") and word not in options] == []
    return options


def test_commands_are_real_and_every_variable_is_theirs(manifests: list[Manifest]) -> None:
    seen = set()
    for component, pod in our_pods(manifests):
        for container in containers(pod):
            given = {each for each in variables(manifests, container) if "INTERPLAY" in each}
            ran = commands(container) or [["training", "watch", "--train"]]  # in a Ray cluster
            for command in ran:
                known = {each.envvar for each in options_of(command).values() if each.envvar}
                assert given <= known, (component, command)
                seen.add(" ".join(command))
    assert {"serving", "features drain", "features retain", "features erase --pending"} <= seen


def test_rayjobs_run_what_is_there(manifests: list[Manifest]) -> None:
    for job in of_kind(manifests, "RayJob"):
        python, module, *command = job["spec"]["entrypoint"].split()
        assert (python, module, command) == ("python", "-m", ["training", "watch", "--train"])
        options_of(command)
        workers = job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["replicas"]
        [head, worker] = [pod for owner, pod in pods(manifests) if owner is job]
        given = variables(manifests, head["spec"]["containers"][0])
        assert given["INTERPLAY_WORKERS"] == str(workers)
        limits = worker["spec"]["containers"][0]["resources"]["limits"]
        assert ("INTERPLAY_GPU" in given) == ("nvidia.com/gpu" in limits)
    for cron_job in of_kind(manifests, "RayCronJob"):
        [job] = of_kind(manifests, "RayJob")
        ours = {name: each for name, each in job["spec"].items() if name != "suspend"}
        assert cron_job["spec"]["jobTemplate"] == ours


def test_values_are_what_the_server_takes(manifests: list[Manifest]) -> None:
    options = {each.envvar: each for each in options_of(["serving"]).values()}
    [pod] = [pod for component, pod in our_pods(manifests) if component == "serving"]
    for name, value in variables(manifests, pod["spec"]["containers"][0]).items():
        if name.startswith("INTERPLAY_"):
            options[name].type.convert(value, options[name], None)  # or raises


def test_ports_are_those_that_the_server_listens_on(manifests: list[Manifest]) -> None:
    [pod] = [pod for component, pod in our_pods(manifests) if component == "serving"]
    [container] = pod["spec"]["containers"]
    given = variables(manifests, container)
    ports = {each["name"]: str(each["containerPort"]) for each in container["ports"]}
    names = {"grpc": "PORT", "health": "HEALTH_PORT", "metrics": "METRICS_PORT"}
    assert ports == {name: given[f"INTERPLAY_{each}"] for name, each in names.items()}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert str(container[probe]["grpc"]["port"]) == ports["health"]


def test_selectors_find_their_pods_and_no_others(manifests: list[Manifest]) -> None:
    labels = [pod["metadata"]["labels"] for _, pod in pods(manifests)]
    for owner in manifests:
        selector = owner.get("spec", {}).get("selector", {})
        wanted = selector.get("matchLabels", selector)
        if not wanted:
            continue
        found = [each for each in labels if wanted.items() <= each.items()]
        assert len(found) == 1, (owner["kind"], owner["metadata"]["name"])


def test_there_are_two_services_one_of_them_without_an_address(manifests: list[Manifest]) -> None:
    services = {each["metadata"]["name"]: each["spec"] for each in of_kind(manifests, "Service")}
    assert "clusterIP" not in services["interplay"]
    assert services["interplay-headless"]["clusterIP"] == "None"
    assert services["interplay"]["ports"] == services["interplay-headless"]["ports"]


def test_pods_meet_the_restricted_standard_and_write_only_where_they_must(
    manifests: list[Manifest],
) -> None:
    [namespace] = of_kind(manifests, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for owner, pod in pods(manifests):
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        token = spec.get("serviceAccountName") == TOKEN
        assert spec["automountServiceAccountToken"] is token, owner["metadata"]["name"]
        assert spec["enableServiceLinks"] is False
        for volume in spec["volumes"]:
            kinds = {"persistentVolumeClaim", "emptyDir", "configMap", "secret"}
            assert set(volume) - {"name"} <= kinds
            assert "sizeLimit" in volume.get("emptyDir", {"sizeLimit": ""})
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert {"cpu", "memory"} <= set(container["resources"]["limits"])


def test_the_one_token_can_only_submit(manifests: list[Manifest]) -> None:
    rules = [rule for role in of_kind(manifests, "Role") for rule in role["rules"]]
    assert rules in (
        [],
        [{"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["list", "create"]}],
    )
    assert of_kind(manifests, "ClusterRole") == []


def test_volumes_that_are_mounted_exist(manifests: list[Manifest]) -> None:
    claims = {each["metadata"]["name"] for each in of_kind(manifests, "PersistentVolumeClaim")}
    maps = {each["metadata"]["name"] for each in of_kind(manifests, "ConfigMap")}
    secrets = {each["spec"]["secretName"] for each in of_kind(manifests, "Certificate")}
    for owner, pod in pods(manifests):
        volumes = {each["name"]: each for each in pod["spec"]["volumes"]}
        made = owner["spec"].get("volumeClaimTemplates", [])
        names = {*volumes, *(each["metadata"]["name"] for each in made)}
        for container in containers(pod):
            assert {each["name"] for each in container["volumeMounts"]} <= names
        for volume in volumes.values():
            assert volume.get("persistentVolumeClaim", {}).get("claimName") in {None, *claims}
            assert volume.get("configMap", {}).get("name") in {None, *maps}
            assert volume.get("secret", {}).get("secretName") in {None, *GIVEN, *secrets}


def test_a_server_has_time_to_leave(manifests: list[Manifest]) -> None:
    [pod] = [pod for component, pod in our_pods(manifests) if component == "serving"]
    [container] = pod["spec"]["containers"]
    leaving_s = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace_s = float(variables(manifests, container)["INTERPLAY_GRACE_S"])
    assert pod["spec"]["terminationGracePeriodSeconds"] > leaving_s + 2 * grace_s


def test_programs_agree_on_where_everything_is(manifests: list[Manifest]) -> None:
    shared = {f"INTERPLAY_{each.upper()}" for each in FeatureSettings.__slots__}
    every = [each for _, pod in our_pods(manifests) for each in containers(pod)]
    agreed = {
        tuple(sorted((k, v) for k, v in variables(manifests, each).items() if k in shared))
        for each in every
    }
    assert len(agreed) == 1
    assert dict(agreed.pop())["INTERPLAY_HOME"] == "/var/lib/interplay"


def test_a_rollout_needs_no_gpu_to_spare_and_no_cpu_is_missed_meanwhile() -> None:
    for name, surge, unavailable in (("gpu", 0, 1), ("cpu", 1, 0)):
        [deployment] = of_kind(overlay(name), "Deployment")
        rolling = deployment["spec"]["strategy"]["rollingUpdate"]
        assert rolling == {"maxSurge": surge, "maxUnavailable": unavailable}
        assert "replicas" not in deployment["spec"]  # KEDA's


def test_who_cannot_see_the_queue_does_not_scale_down() -> None:
    [scaled] = of_kind(overlay("cpu"), "ScaledObject")
    assert scaled["spec"]["fallback"]["behavior"] == "currentReplicasIfHigher"
    [trigger] = scaled["spec"]["triggers"]
    assert trigger["metricType"] == "AverageValue"  # fallbacks work with no other for sure
    assert trigger["metadata"]["ignoreNullValues"] == "false"
    [deployment] = of_kind(rendered(K8S / "base"), "Deployment")
    assert scaled["spec"]["minReplicaCount"] == deployment["spec"]["replicas"] == 2
    assert ServingSettings().max_batch / 2 == float(trigger["metadata"]["threshold"])
