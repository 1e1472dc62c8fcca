"""Callers for tests: an access file, the keys of those in it, and their calls."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import yaml

from serving.access.keys import hash_of, new_key
from tests.running import Running

ROLES = ("frontend", "customer-care", "catalog", "operator")
Metadata = tuple[tuple[str, str], ...]


def write_access(path: Path, *callers: dict[str, Any], **more: Any) -> None:
    """An access file."""
    path.write_text(yaml.safe_dump({"callers": list(callers)} | more))


def caller(name: str, *roles: str, keys: Sequence[str] = (), **more: Any) -> dict[str, Any]:
    """A caller of an access file; `keys` are the secrets."""
    held = [{"sha256": hash_of(each)} for each in keys]
    return {"name": name, "roles": list(roles), "keys": held} | more


def with_key(key: str) -> Metadata:
    """What a call brings along."""
    return (("authorization", f"Bearer {key}"),)


def keys_of_roles(path: Path) -> dict[str, str]:
    """One caller for each role, who speaks for web and app, in an access file; gives their keys."""
    keys = {role: new_key() for role in ROLES}
    channels = {"channels": ["web", "app"]}
    write_access(path, *(caller(role, role, keys=[keys[role]], **channels) for role in ROLES))
    return keys


def ending(call: Any, request: Any, metadata: Metadata = ()) -> str:
    """How a call ends: the name of its status code."""
    try:
        answer = call(request, metadata=metadata, timeout=10)
        if isinstance(answer, grpc.Call):  # a stream
            list(answer)
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def refused(running: Running, reason: str) -> float:
    """How many calls a server has refused for this reason."""
    name = "interplay_refused_calls_total"
    return running.server.metrics.registry.get_sample_value(name, {"reason": reason}) or 0.0
