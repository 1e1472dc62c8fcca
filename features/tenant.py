"""Tenants: several who share Redis, NATS and MLflow; nothing of one is named as of another."""

import os
import re
from pathlib import Path

TENANT = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
MAX_BYTES = 40
RESERVED = {"searches"}  # "interplay-searches" is an experiment of whoever has no tenant
OURS = "interplay"
MARKER = "tenant"  # the file in a home that says whose it is


class TenantError(OSError):
    """Somebody else's home."""


def check_tenant(tenant: str) -> None:
    """Raises ValueError for what cannot be one; empty: the only one."""
    if tenant and (not TENANT.fullmatch(tenant) or len(tenant) > MAX_BYTES or tenant in RESERVED):
        rule = f"must be kebab-case, up to {MAX_BYTES} letters, and not {', '.join(RESERVED)}"
        raise ValueError(f"tenant is {tenant!r}: {rule}")


def of_tenant(name: str, tenant: str, mark: str = "-") -> str:
    """What is `interplay-items` of the only one is `interplay-shop-items` of the tenant shop."""
    check_tenant(tenant)
    assert name.startswith(OURS), "what is shared has our name first"
    return f"{OURS}{mark}{tenant}{name[len(OURS) :]}" if tenant else name


def claim(home: Path, tenant: str) -> None:
    """A home is of whoever used it first; raises TenantError for anybody else."""
    marker = home / MARKER
    if marker.exists():
        owner = marker.read_text()
    elif not tenant or not _is_used(home):
        owner = tenant
        if tenant:
            home.mkdir(parents=True, exist_ok=True)
            beside = marker.with_name(f"{MARKER}.{os.getpid()}")
            beside.write_text(tenant)
            beside.replace(marker)
    else:
        owner = ""
    if owner != tenant:
        raise TenantError(f"{home} is of the tenant {owner!r}, not {tenant!r}: use another --home")


def _is_used(home: Path) -> bool:
    """By somebody without a tenant: what programs write first."""
    return any((home / name).exists() for name in ("log.db", "history", "feast-registry.db"))
