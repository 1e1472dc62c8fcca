"""How fast we learn, beside RecTools, and two workers beside one; and how fast the result answers.

    make bench NAME=training
    make bench NAME=training ARGS="--users 300 --epochs 1"     # a trial: its results are not kept

RecTools' SASRec and our loop learn the same interactions of ml-1m, all of each user but the last,
with as many threads, in as many epochs, by the loss over the whole catalog, with a model of the
same width, blocks, heads and length; ours has the larger feed-forward layers, ages and its other
heads besides. A sample is a position with an item to be learnt. We learn all of them in each epoch,
RecTools the newest of each user: each is given what it really learns. All processes' CPU time
counts. Then both give ten items to each user, seen ones left out, and the same code judges.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.answering import latencies
from benchmarks.fitting import Fit, fitted
from benchmarks.found import found_by, gain_of, ranks_of
from benchmarks.leave_one_out import leave_one_out
from benchmarks.peers.running import interpreter
from benchmarks.published import Lines, read_lines
from benchmarks.report import RESULTS, Figure, report
from training.learning.cluster import cluster
from training.settings import TrainingSettings

DATA = Path("../shared/data/ml-1m/ml-1m.txt.gz")
TRIALS = Path(".interplay/bench")
PARTS = ("peer", "workers", "latency")
SHAPE: dict[str, Any] = {"width": 64, "blocks": 2, "heads": 2, "dropout": 0.1}
LENGTH = 200
PEER = "benchmarks.peers.rectools_trainer"
PEER_BATCHES = (128, 32)  # its default, and one whose logits take less memory
SAME_LOSS = 0.02


@dataclass(frozen=True, slots=True)
class Learnt:
    """What one of them did."""

    samples: float
    wall_s: float
    cpu_s: float  # of all processes
    rank_N: np.ndarray

    def figures(self, name: str) -> Iterator[Figure]:
        """All of it, for the table."""
        yield Figure(f"{name}: samples", self.samples)
        yield Figure(f"{name}: samples/s", self.rate)
        yield Figure(f"{name}: samples/CPU s", self.cpu_rate)
        yield Figure(f"{name}: NDCG@10", self.ndcg)
        yield Figure(f"{name}: HR@10", float(np.isfinite(self.rank_N).mean()))

    @property
    def rate(self) -> float:
        """Samples a second."""
        return self.samples / self.wall_s

    @property
    def cpu_rate(self) -> float:
        """Samples a second of one core."""
        return self.samples / self.cpu_s

    @property
    def ndcg(self) -> float:
        """At 10."""
        return float(gain_of(self.rank_N).mean())


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default=DATA, show_default=True)
@click.option("--epochs", default=4, show_default=True)
@click.option("--users", default=0, help="only the first so many, as a trial")
@click.option("--positions", default=2048, show_default=True, help="learnt from in a step")
@click.option("--only", multiple=True, type=click.Choice(PARTS))
def main(data: Path, epochs: int, users: int, positions: int, only: tuple[str, ...]) -> None:
    """Measures, prints the table, and writes benchmarks/results/training.json if it is whole."""
    parts, figures = only or PARTS, []
    settings = TrainingSettings(
        **SHAPE,
        max_length=LENGTH,
        epochs=epochs,
        positions_a_step=positions,
        patience=0,
        without_profile=0.0,  # as the peer
        reach=0,  # nothing comes twice in ml-1m: naming gains nothing there
    )
    if "peer" in parts or "workers" in parts:
        lines = read_lines(data).first(users)
        ours, beside = _ours(lines, settings, workers="workers" in parts)
        peers = _peers(lines, data, users, settings) if "peer" in parts else {}
        figures += [*_compared(ours, peers), *beside]
    if "latency" in parts:
        figures += latencies(LENGTH)
    whole = not only and not users
    sys.exit(report("training", figures, results=RESULTS if whole else TRIALS))


# ---- Learning ----------------------------------------------------------------------------------


def _ours(
    lines: Lines, settings: TrainingSettings, *, workers: bool
) -> tuple[Learnt, list[Figure]]:
    """What we did, and how two workers stand beside one."""
    with cluster():
        trial = leave_one_out(lines, settings)
        print("Interplay, one worker ...", flush=True)
        one, beside = fitted(trial.plan, trial.dataset), []
        if workers:
            print("Interplay, two workers ...", flush=True)
            plan = replace(trial.plan, settings=replace(settings, workers=2))
            beside = list(_workers(one, fitted(plan, trial.dataset)))
    found_NK = found_by(one.ranker, trial.examples, trial.plan.items, trial.weight_NT, unseen=True)
    rank_N = ranks_of(found_NK, trial.right_N)
    return Learnt(one.samples, one.wall_s, one.cpu_s, rank_N), beside


def _workers(one: Fit, two: Fit) -> Iterator[Figure]:
    yield Figure("two workers / one: samples/s", two.rate / one.rate)
    yield Figure("two workers / one: samples/CPU s", two.cpu_rate / one.cpu_rate)
    yield Figure("one worker: loss of the items at last", one.loss)
    apart = abs(two.loss - one.loss) / one.loss
    yield Figure("two workers: its difference, as a share", apart, goal=SAME_LOSS)


def _peers(lines: Lines, data: Path, users: int, settings: TrainingSettings) -> dict[str, Learnt]:
    """RecTools with each batch size, in an environment of its own."""
    python, threads = interpreter("rectools"), len(os.sched_getaffinity(0))
    given = SHAPE | {"length": LENGTH, "epochs": settings.epochs, "seed": settings.seed}
    given |= {"data": str(data), "users": users, "threads": threads}
    learnt = {}
    for batch in PEER_BATCHES:
        name = f"RecTools, batches of {batch} users"
        print(f"{name} ...", flush=True)
        with tempfile.TemporaryDirectory(prefix="interplay-") as folder:
            arguments = ["-m", PEER, folder, json.dumps(given | {"batch": batch})]
            variables = os.environ | {"PYTHONPATH": str(Path.cwd()), "PYTHONWARNINGS": "ignore"}
            subprocess.run([python, *arguments], env=variables, check=True)
            taken = json.loads((Path(folder) / "taken.json").read_text())
            rank_N = ranks_of(
                np.load(Path(folder) / "found.npy", allow_pickle=False), lines.asked().item_N
            )
        learnt[name] = Learnt(taken["samples"], taken["wall_s"], taken["cpu_s"], rank_N)
    return learnt


def _compared(ours: Learnt, peers: dict[str, Learnt]) -> Iterator[Figure]:
    """Ours beside whichever of the peer's is better in each respect."""
    yield from ours.figures("Interplay")
    for name, each in peers.items():
        yield from each.figures(name)
    if not peers:
        return
    rate, cpu_rate, ndcg = (
        max(getattr(each, name) for each in peers.values()) for name in ("rate", "cpu_rate", "ndcg")
    )
    yield Figure("samples/s: ours / RecTools'", ours.rate / rate, goal=2.0, better="higher")
    yield Figure("samples/CPU s: ours / RecTools'", ours.cpu_rate / cpu_rate)
    yield Figure("NDCG@10: ours above RecTools'", ours.ndcg - ndcg, goal=0.0, better="higher")


if __name__ == "__main__":
    main()
