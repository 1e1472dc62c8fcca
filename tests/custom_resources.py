"""Custom resources: the fields of them that we use, and their published schemas where they lie."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
PUBLISHED = ROOT / ".interplay" / "crds"  # as `kubectl get crd --output yaml` writes them
SHAPES: dict[str, Any] = yaml.safe_load((ROOT / "tests" / "custom_resources.yaml").read_text())
TYPES = {"string": str, "integer": int, "boolean": bool}


def strays(value: Any, shape: Any, place: str) -> list[str]:
    """What of a value is not of its shape: see custom_resources.yaml."""
    if shape == "anything":
        return []
    if isinstance(shape, str):
        fits = isinstance(value, TYPES[shape]) and isinstance(value, bool) == (shape == "boolean")
        return [] if fits else [f"{place}: {value!r} is no {shape}"]
    if type(value) is not type(shape):
        return [f"{place}: {value!r} is no {type(shape).__name__}"]
    if isinstance(value, list):
        places = [(each, shape[0], f"{place}.{at}") for at, each in enumerate(value)]
    else:
        shapes = {name: shape.get(name, shape.get("*")) for name in value}
        places = [(each, shapes[name], f"{place}.{name}") for name, each in value.items()]
    found = [f"{where}: there is no such field" for _, known, where in places if known is None]
    return found + [
        why
        for each, known, where in places
        if known is not None
        for why in strays(each, known, where)
    ]


def published_schemas() -> dict[str, Any]:
    """By version and kind, those of the definitions that lie there; strict as Kubernetes is."""
    schemas = {}
    for path in sorted(PUBLISHED.glob("*.yaml")) if PUBLISHED.exists() else ():
        for document in yaml.load_all(path.read_text(), yaml.CSafeLoader):
            for each in document.get("items", [document]):
                spec = each["spec"]
                for version in spec["versions"]:
                    kind = f"{spec['group']}/{version['name']} {spec['names']['kind']}"
                    schemas[kind] = _strict(version["schema"]["openAPIV3Schema"])
    return schemas


def _strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    untold = {name for name in ("format", "pattern") if isinstance(schema.get(name), str)}  # Go's
    made = {name: _strict(each) for name, each in schema.items() if name not in untold}
    open_ended = made.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in made
    if isinstance(made.get("properties"), dict) and made.get("type") == "object" and not open_ended:
        made["additionalProperties"] = False
    return made
