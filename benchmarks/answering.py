"""How fast exported models answer that might be ml-1m's champion: random ones of their shapes."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.found import K
from benchmarks.report import Figure
from features.artefact import OUTPUTS
from features.vocabulary import load_vocabulary
from training.data.steps import NO_STEPS, most_frequent
from training.export.export import GRAPH, check_parity, open_graph, random_feeds, write_graph
from training.export.ranker import Ranker
from training.model.model import Model, ModelConfig

SHAPES = ((128, 2, 2, 0), (128, 2, 2, 50), (64, 2, 2, 50), (64, 3, 2, 50))
"""Width, blocks, heads, and tokens that name items; that of benchmarks/quality.py first."""
CATALOG = 3416
GOAL_MS, GOAL_PARITY = 2.5, 1e-4
RUNS = 200
SPREAD = 0.2


def latencies(length: int) -> Iterator[Figure]:
    """One user, a whole history, one thread, ten items."""
    with tempfile.TemporaryDirectory(prefix="interplay-") as folder:
        for width, blocks, heads, reach in SHAPES:
            ranker, path = _random_ranker(length, width, blocks, heads, reach), Path(folder) / GRAPH
            write_graph(ranker, path)
            name = f"width {width}, {blocks} blocks, {length} tokens, {reach} name items"
            wall_ms, cpu_ms = _p50_ms(ranker, path)
            yield Figure(f"{name}: one answer, p50", wall_ms, "ms", goal=GOAL_MS)
            yield Figure(f"{name}: its CPU time, p50", cpu_ms, "ms")
            yield Figure(f"{name}: parity", check_parity(ranker, path), goal=GOAL_PARITY)


def _random_ranker(length: int, width: int, blocks: int, heads: int, reach: int) -> Ranker:
    config = ModelConfig(
        item_count=CATALOG,
        type_count=len(load_vocabulary().predicted),
        content_buckets=1,
        max_length=length,
        width=width,
        heads=heads,
        blocks=blocks,
        reach=reach,
    )
    content_VW = torch.zeros((CATALOG, 1), dtype=torch.int64)
    torch.manual_seed(1)
    model = Model(config, content_VW, most_frequent(NO_STEPS, CATALOG))
    for each in model.parameters():  # many begin at zero, which would hide differences
        if each.ndim > 1:
            torch.nn.init.normal_(each, std=SPREAD)
    return Ranker(model)


def _p50_ms(ranker: Ranker, path: Path) -> tuple[float, float]:
    """Wall and CPU time."""
    session = open_graph(path, threads=1)
    feeds = random_feeds(ranker, 1, ranker.model.config.max_length, K, np.random.default_rng(0))
    taken_s = []
    for _ in range(RUNS):
        began_s = time.perf_counter(), time.process_time()
        session.run(OUTPUTS, feeds)
        taken_s.append(np.subtract((time.perf_counter(), time.process_time()), began_s))
    wall_ms, cpu_ms = 1e3 * np.median(taken_s, axis=0)
    return float(wall_ms), float(cpu_ms)
