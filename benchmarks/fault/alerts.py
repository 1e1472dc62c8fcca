"""The alerts: each fires on bad series and keeps quiet on good ones, as promtool sees it."""

import subprocess
import sys
from pathlib import Path

import yaml

from benchmarks.fault.scene import Scene
from benchmarks.fault.trial import Fault, Seen, none_of
from benchmarks.report import Figure

SERIES = Path("tests/k8s_alerts.yaml")
TESTS = ("tests/test_k8s_alerts.py", "-q", "-p", "no:cacheprovider")


def faults() -> list[Fault]:
    """Of what is watched."""
    return [
        Fault(
            "bad-series",
            "series of every trouble that has an alert, and series of none, to promtool",
            "each alert fires, none on good series",
            _alert,
        )
    ]


def _alert(scene: Scene) -> Seen:
    tests = yaml.safe_load(SERIES.read_text())["tests"]
    tried = [each for test in tests for each in test["alert_rule_test"]]
    fires = {each["alertname"] for each in tried if "exp_alerts" in each}
    quiet = {each["alertname"] for each in tried if "exp_alerts" not in each}
    run = subprocess.run([sys.executable, "-m", "pytest", *TESTS], capture_output=True, text=True)
    return Seen(
        [
            Figure("alerts that fired", len(fires)),
            Figure("alerts that kept quiet", len(quiet)),
            none_of("alerts seen in one way only", len(fires ^ quiet)),
            none_of("status of promtool's tests", run.returncode),
        ]
    )
