"""What one GPU answers: runs of the model alone, by size of the catalog and of the batch.

make bench NAME=gpu; needs a GPU, onnxruntime-gpu, and torch with CUDA; neither feast nor ray

A model of random weights, of the default shape, is exported as training exports it, and run as
serving runs it, with item vectors in float32 and in float16. Histories are of full length and
change from run to run; the masks do not. The floor is the time in which the device reads the
vectors of all items once, at the speed of a copy.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.report import Figure, report
from features.artefact import FLOAT16, FLOAT32, load_tables
from features.encoding import FIRST_ITEM_ROW
from features.vocabulary import load_vocabulary
from serving.model.bound_session import BoundSession, with_constant_k
from serving.model.device import CPU, Session, open_on_cuda, provider_of
from training.data.steps import NO_STEPS, most_frequent
from training.export.export import Feeds, random_feeds, write_graph
from training.export.ranker import Ranker
from training.model.model import Model, ModelConfig

FOLDER = Path(".interplay/bench/gpu")
CATALOGS = {"50k": 50_000, "1M": 1_000_000, "10M": 10_000_000}
BATCHES = tuple(1 << n for n in range(11))
K = 10
WAYS = (
    (FLOAT32, "graphs", True),
    (FLOAT32, "no graphs", False),
    (FLOAT16, "float16, graphs", True),
)
WARM_RUNS = 5
SECONDS = 2.0  # of measuring, for each figure
GOAL_P99_MS = 10.0
GOALS = {
    "1M items, graphs": 20_000.0,
    "10M items, graphs, batch 1": 1 / 1.5,
    "10M items, float16, graphs, batch 1": 1 / 1.5,
}
COPY_BYTES = 1 << 30


def main() -> None:
    """Measures, prints the table, and writes benchmarks/results/gpu.json."""
    if provider_of("auto") == CPU or not torch.cuda.is_available():
        print("There is no GPU here that onnxruntime and torch can use: nothing is measured.")
        sys.exit(2)
    FOLDER.mkdir(parents=True, exist_ok=True)
    bandwidth = _bandwidth()
    figures = [Figure("device memory, read by a copy", bandwidth / 1e9, "GB/s")]
    for name, item_count in CATALOGS.items():
        try:
            figures += _catalog(name, item_count, bandwidth)
        except Exception as error:  # too large for the exporter or the device: the others count
            print(f"{name} items cannot be measured: {error}", file=sys.stderr)
            figures.append(Figure(f"{name} items: measured", 0.0, goal=1.0, better="higher"))
    sys.exit(report("gpu", figures))


def _bandwidth() -> float:
    """Bytes that the device reads and writes in a second, both together."""
    source = torch.zeros(COPY_BYTES, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    for _ in range(WARM_RUNS):
        target.copy_(source)
    began.record()
    for _ in range(10):
        target.copy_(source)
    ended.record()
    torch.cuda.synchronize()
    return 2 * 10 * COPY_BYTES / (began.elapsed_time(ended) / 1e3)


def _catalog(name: str, item_count: int, bandwidth: float) -> Iterator[Figure]:
    path, exact = FOLDER / f"{name}.onnx", random_ranker(item_count)
    for precision, note, capture in WAYS:
        ranker = replace(exact, precision=precision)
        write_graph(ranker, path)
        vectors = ranker.vectors().to(getattr(torch, precision))
        bound = BoundSession(
            partial(_open, path, capture=capture), max_length=ranker.model.config.max_length
        )
        yield from batches(bound, ranker, f"{name} items, {note}", vectors.nbytes / bandwidth)


def _open(path: Path, k: int, *, capture: bool) -> Session:
    return open_on_cuda(with_constant_k(path, k), load_tables(path), capture=capture)


def batches(bound: BoundSession, ranker: Ranker, label: str, floor_s: float) -> Iterator[Figure]:
    """Answers a second and 99th percentile of each size, as far as the memory goes."""
    most = 0.0
    for batch in BATCHES:
        try:
            times_s = _times_s(bound, [_feeds(ranker, batch, seed) for seed in (0, 1)])
        except RuntimeError as error:
            print(f"{label}: no batches of {batch}: {error}", file=sys.stderr)
            break
        rate, p99_ms = batch / times_s.mean(), 1e3 * float(np.quantile(times_s, 0.99))
        most = max(most, rate if p99_ms <= GOAL_P99_MS else 0.0)
        share, one = floor_s / float(np.median(times_s)), f"{label}, batch {batch}"
        yield Figure(f"{one}: answers", rate, "/s")
        yield Figure(f"{one}: p99", p99_ms, "ms")
        goal = GOALS.get(one)
        yield Figure(f"{one}: floor / time", share, goal=goal, better="higher")
    goal = GOALS.get(label)
    last = f"{label}: most answers, p99 up to {GOAL_P99_MS:g} ms"
    yield Figure(last, most, "/s", goal=goal, better="higher")


def random_ranker(item_count: int) -> Ranker:
    """A model as trained by default, but for what it has learnt."""
    config = ModelConfig(
        item_count=item_count,
        type_count=len(load_vocabulary().predicted),
        content_buckets=1,
    )
    content_VW = torch.zeros((item_count, 1), dtype=torch.int64)
    return Ranker(Model(config, content_VW, most_frequent(NO_STEPS, item_count)))


def _feeds(ranker: Ranker, batch: int, seed: int) -> Feeds:
    """Full histories; all customers share one mask."""
    rng, longest = np.random.default_rng(seed), ranker.model.config.max_length
    feeds = random_feeds(ranker, batch, longest, K, rng)
    V = ranker.model.config.item_count
    feeds["tokens_BLF"][..., 0] = rng.integers(FIRST_ITEM_ROW, V, feeds["tokens_BLF"].shape[:2])
    return feeds | {"eligible_EV": feeds["eligible_EV"][:1], "mask_B": np.zeros(batch, np.int64)}


def _times_s(bound: BoundSession, feeds: list[Feeds]) -> np.ndarray:
    """How long each run takes; what is asked changes from one to the next."""
    for at in range(WARM_RUNS):
        bound.run(feeds[at % len(feeds)])
    times_s, end = list[float](), time.perf_counter() + SECONDS
    while (began := time.perf_counter()) < end or not times_s:
        bound.run(feeds[len(times_s) % len(feeds)])
        times_s.append(time.perf_counter() - began)
    return np.array(times_s)


if __name__ == "__main__":
    main()
