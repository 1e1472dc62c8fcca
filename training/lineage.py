"""Lineage: what a model was made from, as its contract and the registry tell it."""

import dataclasses
import hashlib
import json
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from features.encoding import SCHEMA_VERSION
from features.record import moment
from features.vocabulary import Vocabulary
from training.data.split import Snapshot
from training.settings import TrainingSettings

DIGITS = 12  # of a name
ASIDE = ("signing_key",)  # settings from which nothing is made


def lineage_of(
    snapshot: Snapshot,
    vocabulary: Vocabulary,
    settings: TrainingSettings,
    *,
    parent: str,
    start: str,
) -> dict[str, str]:
    """Data, code, features, settings; who reigned then, and whose weights it began with."""
    return {
        "interactions": str(snapshot.rows),
        "newest_time": snapshot.newest_time.isoformat(),
        "test_time": snapshot.test_time.isoformat(),
        "validation_time": moment(snapshot.split.validation_tick).isoformat(),
        "history_parts": snapshot.parts_digest,
        "code": version("interplay"),
        "commit": commit(),
        "features": f"schema {SCHEMA_VERSION}, vocabulary {vocabulary.digest}",
        "settings": json.dumps(_made_with(settings)),
        "parent": parent,
        "start": start,
    }


def _made_with(settings: TrainingSettings) -> dict[str, object]:
    given = dataclasses.asdict(settings)
    return {name: value for name, value in given.items() if name not in ASIDE}


def commit() -> str:
    """The commit of this checkout, with -dirty if files differ from it; empty where none is."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return ""
    words = ["describe", "--always", "--dirty", "--abbrev=12", "--exclude", "*"]
    try:
        run = subprocess.run(
            ["git", *words], cwd=root, capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return run.stdout.strip()


def name_of(lineage: Mapping[str, str], kind: str = "run") -> str:
    """A name that the same training has again: a rerun finds by it what was cut off."""
    made_from = {key: value for key, value in lineage.items() if key != "parent"}
    text = json.dumps(made_from, sort_keys=True)
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:DIGITS]}"


def differing(some: Mapping[str, str], other: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """What differs in two lineages, setting by setting: name, value, other value."""
    flat, flat_other = _flat(some), _flat(other)
    names = [*flat, *(name for name in flat_other if name not in flat)]
    pairs = [(name, flat.get(name, ""), flat_other.get(name, "")) for name in names]
    return [(name, left, right) for name, left, right in pairs if left != right]


def _flat(lineage: Mapping[str, str]) -> dict[str, str]:
    rest = {name: value for name, value in lineage.items() if name != "settings"}
    settings: dict[str, object] = json.loads(lineage.get("settings", "{}"))
    return rest | {f"--{name.replace('_', '-')}": str(each) for name, each in settings.items()}
