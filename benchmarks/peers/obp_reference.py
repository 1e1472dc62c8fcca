"""Asks the Open Bandit Pipeline (`obp`), in an environment of its own, what it estimates."""

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.running import NotRunError, interpreter

# Its pin to Python below 3.11 is older than 3.11; what it needs is listed, torch is not used.
PIP = ("--no-deps", "--ignore-requires-python")


def reference(question: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Its answers by name; NotRunError says why there are none."""
    python = interpreter("obp", *PIP)
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "question.npz", Path(folder) / "answer.npz"
        np.savez(asked, **question)
        run = subprocess.run(
            [python, "-m", "benchmarks.peers.obp_estimates", asked, answered],
            capture_output=True,
            text=True,
        )
        if run.returncode:
            raise NotRunError(f"obp ended: {run.stderr.strip().rpartition(chr(10))[2]}")
        with np.load(answered) as found:
            return dict(found)
