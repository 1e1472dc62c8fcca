"""What a step of learning takes, by the size of the catalog: peak memory, and time of all cores.

    make bench NAME=memory
    make bench NAME=memory ARGS="--items 10000"     # a trial: its results are not kept

Each line is a process of its own, which makes a model of width 64 with as many items, their
followers and one content feature each, and learns from three batches of 1024 positions. `exact`
sums over the whole catalog, `sampled` over what the batch names and a sample; the product samples
beyond --exact-items. What does not fit into the memory that is free is left out, and said so.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np
import psutil

from benchmarks.report import RESULTS, Figure, report

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
WAYS = ("exact", "sampled")
WIDTH, LENGTH, CUSTOMERS, STEPS = 64, 64, 16, 3
BYTES = {"exact": 4 * WIDTH * 8 + 200, "sampled": 4 * WIDTH * 2 + 200}  # an item's share, at most
BASE_BYTES = 1 << 30
DRAWS = 8192


@click.command()
@click.option("--items", "sizes", type=int, multiple=True, help="Only catalogs of this size.")
@click.option("--way", type=click.Choice(WAYS), help="Measure here, and print: one process a line.")
def main(sizes: tuple[int, ...], way: str | None) -> None:
    """Measures, prints, writes the results."""
    if way:
        click.echo(json.dumps(measure(sizes[0], way)))
        return
    figures = [each for size in sizes or SIZES for way in WAYS for each in _figures(size, way)]
    with tempfile.TemporaryDirectory() as scratch:
        sys.exit(report("memory", figures, results=Path(scratch) if sizes else RESULTS))


def _figures(size: int, way: str) -> list[Figure]:
    name = f"{size:,} items, {way}"
    if BASE_BYTES + size * BYTES[way] > psutil.virtual_memory().available:
        click.echo(f"{name}: left out, does not fit into the memory that is free", err=True)
        return []
    command = [sys.executable, "-m", "benchmarks.memory", "--items", str(size), "--way", way]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(run.stdout)
    return [
        Figure(f"{name}: peak memory", found["peak_mb"], "MB"),
        Figure(f"{name}: of it before the first step", found["before_mb"], "MB"),
        Figure(f"{name}: a step", found["step_s"] * 1000, "ms of CPU"),
    ]


# ---- In a process of its own -------------------------------------------------------------------


def measure(size: int, way: str) -> dict[str, float]:
    """Peak memory before and after some steps, and the CPU time of the fastest of them."""
    import torch

    from training.learning.learner import Learner, move
    from training.learning.optimizer import movers_of
    from training.learning.rows import Rows

    torch.manual_seed(1)
    model = _model(size)
    rows = Rows(model, DRAWS) if way == "sampled" else None
    learner, movers = Learner(model), movers_of(model)
    before_mb, times_s = _peak_mb(), []
    for number in range(STEPS):
        tensors = _batch(size, number)
        start = time.process_time()
        taken = rows.take(tensors[0], tensors[3], number) if rows else None
        (learner(*tensors, taken).sum() / (CUSTOMERS * LENGTH)).backward()
        moved = rows.gradient(taken, _alone()) if rows and taken else None
        move(learner, movers, 0.001, rows, moved)
        times_s.append(time.process_time() - start)
    return {"peak_mb": _peak_mb(), "before_mb": before_mb, "step_s": min(times_s)}


def _model(size: int):  # type: ignore[no-untyped-def]  # torch is imported only in that process
    import torch

    from features.encoding import FIRST_ITEM_ROW
    from training.data.steps import MOST_FOLLOWERS, PRIOR, Followers
    from training.model.model import Model, ModelConfig

    rows = FIRST_ITEM_ROW + size
    followers = Followers(
        np.ones((rows, MOST_FOLLOWERS), np.int32),
        np.full((rows, MOST_FOLLOWERS), 0.01, np.float32),
        np.full(rows, 1 / (PRIOR + 1), np.float32),
    )
    config = ModelConfig(
        item_count=size, type_count=8, content_buckets=1 << 14, width=WIDTH, max_length=LENGTH
    )
    content_VW = torch.randint(1, 1 << 14, (size, 1))
    return Model(config, content_VW, followers)


def _batch(size: int, seed: int):  # type: ignore[no-untyped-def]
    import torch

    from features.encoding import CONTEXT_FIELDS, FIRST_ITEM_ROW, ITEM, TOKEN_FIELDS, TYPE

    torch.manual_seed(seed)
    tokens_BLF = torch.zeros(CUSTOMERS, LENGTH, TOKEN_FIELDS, dtype=torch.int32)
    tokens_BLF[..., TYPE] = 1
    rows = torch.randint(FIRST_ITEM_ROW, FIRST_ITEM_ROW + size, (2, CUSTOMERS, LENGTH))
    tokens_BLF[..., ITEM] = rows[0]
    context_BLC = torch.zeros(CUSTOMERS, LENGTH, CONTEXT_FIELDS, dtype=torch.int32)
    return tokens_BLF, context_BLC, torch.zeros(CUSTOMERS, LENGTH, dtype=torch.int64), rows[1]


def _alone():  # type: ignore[no-untyped-def]
    import torch

    from training.learning.seat import Seat

    return Seat(0, 1, torch.device("cpu"))


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kilobytes on Linux


if __name__ == "__main__":
    main()
