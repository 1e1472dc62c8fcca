"""How many cores this process may use."""

import os
from pathlib import Path


def cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """By its affinity and by its container's limit."""
    usable = getattr(os, "sched_getaffinity", None)  # not on macOS
    count = len(usable(0)) if usable else os.cpu_count() or 1
    if not quota.exists():
        return count
    limit, period = quota.read_text().split()
    return count if limit == "max" else max(1, min(count, int(limit) // int(period)))
