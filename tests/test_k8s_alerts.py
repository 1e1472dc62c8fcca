"""Monitoring: alerts fire when they should and only then; every expression is of real metrics."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from serving.metrics import Metrics
from tests.manifests import Manifest, need, of_kind, overlay

ALERTS = Path(__file__).parent / "k8s_alerts.yaml"
METRIC = re.compile(r"\binterplay_\w+")


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    return overlay("cpu")


def rules(manifests: list[Manifest]) -> list[dict[str, Any]]:
    [found] = of_kind(manifests, "PrometheusRule")
    return [rule for group in found["spec"]["groups"] for rule in group["rules"]]


def panels(manifests: list[Manifest]) -> list[dict[str, Any]]:
    boards = [each["data"] for each in of_kind(manifests, "ConfigMap")]
    [text] = [each["dashboard.json"] for each in boards if "dashboard.json" in each]
    found: list[dict[str, Any]] = json.loads(text)["panels"]
    return found


def expressions(manifests: list[Manifest]) -> Iterator[str]:
    """All that Prometheus is asked: by alerts, by the dashboard, by KEDA."""
    yield from (rule["expr"] for rule in rules(manifests))
    yield from (each["expr"] for panel in panels(manifests) for each in panel["targets"])
    [scaled] = of_kind(manifests, "ScaledObject")
    yield from (each["metadata"]["query"] for each in scaled["spec"]["triggers"])


def promtool(*arguments: str, folder: Path) -> str:
    """What it says; fails if it is not content."""
    need("promtool")
    run = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def exported() -> set[str]:
    """The names of all series that a server shows."""
    metrics = Metrics()
    metrics.called("DecideInteraction", "", "OK", 0.1)
    metrics.serves("1", "CPUExecutionProvider")
    metrics.refused("right")
    kinds = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}
    return {
        each.name + ending for each in metrics.registry.collect() for ending in kinds[each.type]
    }


def test_alerts_fire_on_bad_series_and_on_no_good_ones(
    manifests: list[Manifest], tmp_path: Path
) -> None:
    [found] = of_kind(manifests, "PrometheusRule")
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(found["spec"]))
    tests = yaml.safe_load(ALERTS.read_text())
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(tests))
    assert "SUCCESS" in promtool("check", "rules", "rules.yaml", folder=tmp_path)
    assert "SUCCESS" in promtool("test", "rules", "tests.yaml", folder=tmp_path)


def test_every_alert_is_seen_to_fire_and_to_keep_quiet(manifests: list[Manifest]) -> None:
    names = {rule["alert"] for rule in rules(manifests)}
    tried = [
        each
        for test in yaml.safe_load(ALERTS.read_text())["tests"]
        for each in test["alert_rule_test"]
    ]
    assert {each["alertname"] for each in tried if "exp_alerts" in each} == names
    assert {each["alertname"] for each in tried if "exp_alerts" not in each} == names


def test_every_expression_parses(manifests: list[Manifest], tmp_path: Path) -> None:
    found = [each.replace("$__rate_interval", "5m") for each in expressions(manifests)]
    recorded = [{"record": f"n{at}", "expr": each} for at, each in enumerate(found)]
    groups = {"groups": [{"name": "all", "rules": recorded}]}
    (tmp_path / "all.yaml").write_text(yaml.safe_dump(groups))
    said = promtool("check", "rules", "all.yaml", folder=tmp_path)
    assert f"{len(found)} rules found" in said


def test_every_expression_asks_for_what_the_server_shows(manifests: list[Manifest]) -> None:
    known = exported()
    assert "interplay_queue_depth" in known
    for each in expressions(manifests):
        assert set(METRIC.findall(each)) <= known, each


def test_prometheus_watches_the_port_of_the_metrics(manifests: list[Manifest]) -> None:
    [monitor] = of_kind(manifests, "PodMonitor")
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    [deployment] = of_kind(manifests, "Deployment")
    pod = deployment["spec"]["template"]
    ports = [each["name"] for each in pod["spec"]["containers"][0]["ports"]]
    assert endpoint["port"] in ports
    assert monitor["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
