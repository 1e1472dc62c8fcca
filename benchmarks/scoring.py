"""What a run of the model costs on one CPU core, as catalogs, histories and batches grow.

    make bench NAME=scoring

CPU time a customer, of random models of the default shape (width D = 64, H = 2 heads, 2 blocks,
S = 16 followers of an item, all T predicted types), exported on the spot. For one customer the
graph multiplies and adds about

    (D + 1 + 2 T) V               once for each of V items: wish times item, the sum over items that
                                  makes probabilities, and the types' share in the score; 89 V
    (2 H D + 4 D + 4 D) D L       in the first block for each of L tokens: queries, what is read,
                                  and the feed-forward layer; 49,000 L
    2 H D L^2                     in the first block for each pair of tokens; 256 L^2
    (2 H + 2 T) D L               in the last block and the naming, of which one position is asked

    items        4,000      10,000      50,000   1,000,000      tokens      20     50    100    200
    millions       0.4         0.9         4.5          89      millions   1.1    3.2    7.7     20

Beside it, V numbers are passed over for the largest, its distance, exp, score, mask and best k,
tile by tile, so that they stay in the cache; and each token adds to 1 + S items. Which of it
decides differs:

- 4,000 to 50,000 items: starting some 170 operations is most of a batch of one, and is shared by
  more customers; then the histories, then the items.
- 1,000,000 items: (D + 1 + 2 T) V numbers are 356 MB, which no cache holds and every run reads
  once: a batch of one takes as long as that, and larger batches share it until the arithmetic and
  the passes over V decide.
- Long histories: twice the tokens are twice the work, until beyond 190 tokens the pairs weigh more;
  32 customers with 200 tokens fill 10 MB with what the pairs weigh, more than the nearest caches.

Memory is what a session takes beyond its process, once loaded and after the largest batch: item
vectors twice (as they are looked up, and as they are multiplied), what types add to items twice,
followers, and for each customer of a batch some numbers an item.
"""

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import psutil
import torch

from benchmarks.report import Figure, report
from features.artefact import OUTPUTS
from features.vocabulary import load_vocabulary
from training.data.steps import NO_STEPS, most_frequent
from training.export.export import Feeds, open_graph, random_feeds, write_graph
from training.export.ranker import Ranker
from training.model.model import Model, ModelConfig

CATALOGS = (4_000, 50_000, 1_000_000)
USUAL_LENGTH = 50
LENGTHS = (10, 20, 50, 100, 200)
USUAL_CATALOG = 10_000
BATCHES = (1, 8, 32)
K = 10
MIN_RUNS, MAX_RUNS, ENOUGH_S = 5, 50, 1.0  # a case is over after so many runs, or so long


@dataclass(frozen=True, slots=True)
class Cost:
    """What a session took."""

    loaded_bytes: int
    used_bytes: int  # after all runs
    run_s: tuple[float, ...]  # CPU time of a run, for each of the feeds


def main() -> int:
    """Measures every catalog in a process of its own."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        for item_count in CATALOGS:
            figures += _catalog(item_count, path)
        figures += _lengths(path)
    return report("scoring", figures)


def _catalog(item_count: int, path: Path) -> Iterator[Figure]:
    cases = [(batch, USUAL_LENGTH) for batch in BATCHES]
    cost = _cost(item_count, path, cases)
    name = f"{item_count:,} items"
    for (batch, _), run_s in zip(cases, cost.run_s, strict=True):
        yield Figure(f"{name}, {USUAL_LENGTH} tokens, batch {batch}", 1e3 * run_s / batch, "ms")
    if item_count == max(CATALOGS):
        yield Figure(f"{name}: graph", path.stat().st_size / 1e6, "MB")
        yield Figure(f"{name}: session, loaded", cost.loaded_bytes / 1e6, "MB")
        yield Figure(f"{name}: session, after batch {batch}", cost.used_bytes / 1e6, "MB")


def _lengths(path: Path) -> Iterator[Figure]:
    cases = [(batch, length) for length in LENGTHS for batch in BATCHES]
    cost = _cost(USUAL_CATALOG, path, cases)
    for (batch, length), run_s in zip(cases, cost.run_s, strict=True):
        name = f"{USUAL_CATALOG:,} items, {length} tokens, batch {batch}"
        yield Figure(name, 1e3 * run_s / batch, "ms")


def _cost(item_count: int, path: Path, cases: Sequence[tuple[int, int]]) -> Cost:
    """Of batches of so many customers with so many tokens."""
    ranker, rng = _random_ranker(item_count), np.random.default_rng(0)
    write_graph(ranker, path)
    feeds = [random_feeds(ranker, batch, length, K, rng) for batch, length in cases]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        return fresh.submit(_measure, path, feeds).result()


def _random_ranker(item_count: int) -> Ranker:
    config = ModelConfig(
        item_count=item_count,
        type_count=len(load_vocabulary().predicted),
        content_buckets=1,
        max_length=max(LENGTHS),
    )
    content_VW = torch.zeros((item_count, 1), dtype=torch.int64)
    return Ranker(Model(config, content_VW, most_frequent(NO_STEPS, item_count)))


def _measure(path: Path, feeds: Sequence[Feeds]) -> Cost:
    memory = psutil.Process().memory_info
    before = memory().rss
    session = open_graph(path, threads=1)
    loaded = memory().rss - before
    run_s = []
    for each in feeds:
        session.run(OUTPUTS, each)  # the first run makes room
        times_s: list[float] = []
        while len(times_s) < MIN_RUNS or (len(times_s) < MAX_RUNS and sum(times_s) < ENOUGH_S):
            began_s = time.process_time()
            session.run(OUTPUTS, each)
            times_s.append(time.process_time() - began_s)
        run_s.append(float(np.median(times_s)))
    return Cost(loaded, memory().rss - before, tuple(run_s))


if __name__ == "__main__":
    sys.exit(main())
