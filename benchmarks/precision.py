"""What item vectors in float16 cost in quality: one trained model, exported both ways and judged.

    make bench NAME=precision        # ARGS="--data ../shared/data/tmall" for real histories

Both graphs answer the same questions on the CPU, where float16 rounds the vectors and the logits as
it does on a GPU, but gains no time: `make bench NAME=gpu` measures that.
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from benchmarks.composed import run_program
from benchmarks.report import Figure, report
from features.artefact import FLOAT16, FLOAT32
from features.settings import FeatureSettings, Home
from training.export.export import GRAPH
from training.export.ranker import Ranker
from training.judging.evaluation import gains
from training.judging.intervals import difference
from training.learning.plan import new_model
from training.learning.start import start_from
from training.preparing import Prepared, prepared
from training.publishing import Publisher
from training.sealing import Sealed, write_artefact
from training.settings import TrainingSettings

HOME = Home(Path(".interplay/bench/precision"))
SIMULATION = ("--customers", "2000", "--days", "60", "--items", "10000", "--seed", "9")


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="else simulated")
def main(data: Path | None) -> None:
    """Trains one model, prints the table, and writes benchmarks/results/precision.json."""
    shutil.rmtree(HOME.path, ignore_errors=True)
    filling = ("simulate", *SIMULATION) if data is None else ("import", str(data))
    run_program("features", *filling, "--home", HOME.path)
    run_program("training", "train", "--home", HOME.path)
    with (
        prepared(FeatureSettings(home=HOME.path), TrainingSettings()) as run,
        tempfile.TemporaryDirectory() as folder,
    ):
        sealed = {each: _sealed(run, Path(folder) / each, each) for each in (FLOAT32, FLOAT16)}
        figures = list(_figures(sealed[FLOAT32], sealed[FLOAT16], run))
    sys.exit(report("precision", figures))


def _sealed(run: Prepared, directory: Path, precision: str) -> Sealed:
    """The trained model once more, exported with item vectors of a precision."""
    publisher = Publisher(HOME)
    (version,) = publisher.versions()
    found = publisher.find(version.version)
    model = new_model(run.plan)
    start_from(found.version, found.directory, publisher.kept(found.version)).fill(model)
    return write_artefact(directory, Ranker(model, precision=precision), run, [], {})


def _figures(whole: Sealed, half: Sealed, run: Prepared) -> Iterator[Figure]:
    customer_N = run.contest.arrivals.customer_N
    ranks = half.standing.rank_N, whole.standing.rank_N
    lost = difference(gains(ranks[1]), gains(ranks[0]), customer_N)
    for name, sealed in ((FLOAT32, whole), (FLOAT16, half)):
        yield Figure(f"{name}: NDCG@10", sealed.standing.ranking.ndcg)
        yield Figure(f"{name}: intent log-loss", sealed.metrics["intent_log_loss"])
        yield Figure(f"{name}: furthest from the trained model", sealed.metrics["parity"])
        size = (sealed.directory / GRAPH).stat().st_size
        yield Figure(f"{name}: graph", size / 2**20, "MiB")
    yield Figure("NDCG@10 lost", lost.mean)
    yield Figure("NDCG@10 lost, upper bound of 95 %", lost.high, goal=0.001)
    same = float((ranks[0] == ranks[1]).mean())
    yield Figure("right items that keep their rank", 100 * same, "%")


if __name__ == "__main__":
    main()
