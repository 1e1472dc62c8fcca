"""The demo's figures: what a decision takes, and how well the model ranks beside four baselines.

make bench NAME=demo                                  # on simulated interactions
make bench NAME=demo ARGS="--data ../shared/data"     # also on tmall and online-retail, whole
"""

import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import numpy as np

from benchmarks.composed import judged, run_program, serving
from benchmarks.frontend import DECIDE, RECORD, question, views
from benchmarks.load import Load, percentile, run
from benchmarks.report import Figure, report
from benchmarks.story import customers
from benchmarks.walkthrough import SIMULATION
from features.history.partitions import count
from features.settings import Home

ROOT = Path(".interplay/bench")
DATA_SETS = ("tmall", "online-retail")
CALLS = 3000


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="folder of tmall and online-retail")
def main(data: Path | None) -> None:
    """Measures, prints the table, and writes benchmarks/results/demo.json."""
    home = Home(ROOT / "simulated")
    _prepare(home, "simulate", *SIMULATION)
    run_program("features", "materialize", "--home", home.path)
    with serving(home.path) as address:
        figures = [*_latencies(address, home), *_quality("simulated", home)]
    for name in DATA_SETS if data is not None else ():
        assert data is not None
        home = Home(ROOT / name)
        _prepare(home, "import", data / name)
        figures += _quality(name, home)
    sys.exit(report("demo", figures))


def _prepare(home: Home, *filling: str | Path) -> None:
    shutil.rmtree(home.path, ignore_errors=True)
    run_program("features", *filling, "--home", home.path)
    run_program("training", "train", "--home", home.path)


def _latencies(address: str, home: Home) -> Iterator[Figure]:
    asked = customers(home, most=500)
    questions = [question(each, "web", k=10).SerializeToString() for each in asked]
    for name, method, requests, p50_ms, p99_ms in (
        ("decide", DECIDE, questions, 5.0, 15.0),
        ("record one interaction", RECORD, views(asked, 2 * CALLS), None, None),
    ):
        calls = _one_caller(address, method, requests)
        yield Figure(f"{name}, one caller, p50", percentile(calls, 50), "ms", goal=p50_ms)
        yield Figure(f"{name}, one caller, p99", percentile(calls, 99), "ms", goal=p99_ms)


def _one_caller(address: str, method: str, requests: Sequence[bytes]) -> np.ndarray:
    load = Load(target=address, method=method, requests=requests, callers=1, calls=CALLS)
    result = run(load)
    failed = {code: number for code, number in result.counts().items() if code != "OK"}
    if failed:
        raise SystemExit(f"{method} failed: {failed}")
    return result.latencies_ms()


def _quality(name: str, home: Home) -> Iterator[Figure]:
    champion = judged(home)
    yield Figure(f"{name}: interactions", count(home.history))
    yield Figure(f"{name}: NDCG@10 of the best baseline, {champion.baseline}", champion.best)
    yield Figure(f"{name}: NDCG@10 of the model", champion.ndcg)
    ratio = champion.ndcg / champion.best
    yield Figure(f"{name}: model / best baseline", ratio, goal=1.0, better="above")


if __name__ == "__main__":
    main()
