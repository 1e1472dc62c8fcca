"""Who may call, on Kubernetes: nobody who does not prove who they are, whatever is composed."""

from pathlib import Path
from typing import Any

import pytest

from serving.access.protection import check_protection
from serving.settings import ServingSettings
from tests.manifests import OVERLAYS, Manifest, composed, our_pods, overlay, variables

NAMES = ("access", "tls_certificate", "tls_key", "client_ca")


def serving(manifests: list[Manifest]) -> tuple[ServingSettings, dict[str, Any]]:
    """How the server is told to keep strangers out, and the Secret behind each of its folders."""
    [pod] = [pod for component, pod in our_pods(manifests) if component == "serving"]
    [container] = pod["spec"]["containers"]
    given = variables(manifests, container)
    values: dict[str, Any] = {name: given.get(f"INTERPLAY_{name.upper()}", "") for name in NAMES}
    values["trust_network"] = given.get("INTERPLAY_TRUST_NETWORK") == "true"
    assert "INTERPLAY_INSECURE" not in given
    secrets = {each["name"]: each.get("secret") for each in pod["spec"]["volumes"]}
    folders = {each["mountPath"]: secrets[each["name"]] for each in container["volumeMounts"]}
    return ServingSettings(host=given["INTERPLAY_HOST"], **values), folders


@pytest.mark.parametrize(
    "components",
    [
        *((), ("mtls-cert-manager",), ("trust-network",)),
        ("mtls-cert-manager", "trust-network"),
    ],
    ids=str,
)
def test_whatever_is_composed_strangers_are_kept_out(
    tmp_path: Path, components: tuple[str, ...]
) -> None:
    settings, folders = serving(composed(tmp_path, components))
    check_protection(settings)
    assert settings.trust_network == ("trust-network" in components)
    assert bool(settings.tls_certificate) != settings.trust_network
    assert bool(settings.client_ca) == (components == ("mtls-cert-manager",))
    for name in NAMES:
        if path := getattr(settings, name):
            folder = str(Path(path).parent)
            expected = "interplay-access" if name == "access" else "interplay-serving-tls"
            assert folders[folder]["secretName"] == expected


@pytest.mark.parametrize("name", OVERLAYS)
def test_only_the_overlay_for_trying_does_without_tls(name: str) -> None:
    settings, _ = serving(overlay(name))
    check_protection(settings)
    assert settings.trust_network == (name == "local")
