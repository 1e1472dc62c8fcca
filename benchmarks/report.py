"""The one form of all benchmarks: a table of figures against goals, a results file, a status.

if __name__ == "__main__":
    sys.exit(report("demo", [Figure("p99, one caller", 9.1, "ms", goal=15.0)]))
"""

import importlib.metadata
import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
LIBRARIES = (
    *("duckdb", "feast", "grpcio", "mlflow-skinny", "numpy", "onnxruntime", "onnxruntime-gpu"),
    *("pyarrow", "ray", "torch", "uvloop"),
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number and what it should be; without a goal it only informs."""

    name: str
    value: float
    unit: str = ""
    goal: float | None = None
    better: Literal["lower", "higher", "above"] = "lower"  # above: a tie falls short

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; NaN never is. None without a goal."""
        if self.goal is None:
            return None
        if self.better == "lower":
            return self.value <= self.goal
        return self.value > self.goal if self.better == "above" else self.value >= self.goal


def report(
    name: str,
    figures: Sequence[Figure],
    *,
    details: Sequence[Figure] = (),
    results: Path = RESULTS,
) -> int:
    """Prints the table, writes `<name>.json`, gives the exit status: 1 if a goal falls short.

    `details` are written, not printed.
    """
    Console().print(_table(name, figures))
    results.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_record(name, [*figures, *details]), indent=2, ensure_ascii=False)
    (results / f"{name}.json").write_text(text + "\n")
    return int(any(figure.met is False for figure in figures))


def _table(name: str, figures: Sequence[Figure]) -> Table:
    table = Table(title=name, title_justify="left", title_style="bold")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("goal", justify="right")
    table.add_column("")
    for each in figures:
        table.add_row(escape(each.name), _shown(each.value, each.unit), _goal(each), _verdict(each))
    return table


def _shown(value: float, unit: str) -> str:
    """Four digits are as much as a measurement tells."""
    digits = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{digits} {unit}".rstrip()


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    sign = {"lower": "≤", "higher": "≥", "above": ">"}[figure.better]
    return f"{sign} {_shown(figure.goal, figure.unit)}"


def _verdict(figure: Figure) -> str:
    return {None: "", True: "[green]met[/]", False: "[red]short[/]"}[figure.met]


def _record(name: str, figures: Iterable[Figure]) -> dict[str, Any]:
    """What the results file says: enough to know whether two results may be compared."""
    return {
        "benchmark": name,
        "figures": [asdict(each) | {"met": each.met, "value": _finite(each)} for each in figures],
        "command": command(sys.orig_argv),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--", ".", ":!benchmarks/results")),
        "machine": machine(),
        "versions": {"python": platform.python_version()} | _versions(),
    }


def _finite(figure: Figure) -> float | None:
    """JSON has neither NaN nor infinity."""
    return figure.value if math.isfinite(figure.value) else None


def command(argv: Sequence[str]) -> str:
    """The command as typed, but the last part only of absolute paths: they tell of this machine."""
    return " ".join(["python", *(_without_folders(word) for word in argv[1:])])


def _without_folders(word: str) -> str:
    flag, equals, value = word.rpartition("=")
    return f"{flag}{equals}{Path(value).name}" if Path(value).is_absolute() else word


def machine() -> dict[str, Any]:
    """The machine, as far as it bears on speed."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    usable = getattr(os, "sched_getaffinity", None)  # not on macOS
    return {
        "cpu": _cpu_model(),
        "cores": len(usable(0)) if usable else os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def _cpu_model() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())


def _versions() -> dict[str, str]:
    """Of the libraries that are installed; none of them is imported."""
    found = {each.name: each.version for each in importlib.metadata.distributions()}
    return {library: found[library] for library in LIBRARIES if library in found}


def _git(*words: str) -> str | None:
    """What git says of this checkout; None without git."""
    try:
        run = subprocess.run(
            ["git", *words], cwd=RESULTS.parent.parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return run.stdout.strip()
