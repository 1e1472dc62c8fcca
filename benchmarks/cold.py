"""Cold starts: items and customers that came after the training, made by hiding them from it.

    make bench NAME=cold
    make bench NAME=cold ARGS="--only simulated --epochs 1"     # a trial: its results are not kept

A tenth of the items and a tenth of the customers are taken out of the history before its newest
tenth, which asks. A new item is to be found by customers who come to it for the first time, among
all items that they have not met, and among the new ones alone: by its description, as serving ranks
an item that the model does not know; and by a model that had it in its catalog, but never saw it
chosen. A new customer is asked about with nothing known, and after their first one to three
interactions; items that are new as well are left out. Intervals of 95 % are drawn by bootstrap over
customers.
"""

import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

import click
import numpy as np

from benchmarks.composed import run_program
from benchmarks.fitting import fitted
from benchmarks.hidden import Hidden, hide
from benchmarks.newcomers import (
    Ranks,
    asking_for_new,
    counted_ranks,
    ranks_by_channel,
    ranks_of_new,
)
from benchmarks.report import RESULTS, Figure, report
from benchmarks.walkthrough import SIMULATION
from features.record import RECORD_BYTES
from features.settings import FeatureSettings, Home
from training.judging.evaluation import gains, hits
from training.judging.intervals import difference, interval
from training.judging.judging import WITHOUT_PROFILE, Standing
from training.preparing import Prepared, prepared
from training.sealing import write_artefact
from training.settings import TrainingSettings

ROOT = Path(".interplay/bench/cold")
SIMULATED = "simulated"
DATA_SETS = (SIMULATED, "complete-journey")
SHARE = 0.1  # hidden, of items and of customers
FIRST = 3  # interactions of a new customer, at most
CONTENT, CATALOG = "by content", "in the catalog while learning"
UNKNOWN = "nothing known"
CATEGORY = "by popularity of the category"


@dataclass(slots=True)
class Sheet:
    """The figures of one data set; bounds of what is no comparison are details."""

    name: str
    figures: list[Figure] = field(default_factory=list)
    details: list[Figure] = field(default_factory=list)

    def count(self, what: str, count: int) -> None:
        """How many there were."""
        self.figures.append(Figure(f"{self.name}, {what}", count))

    def place(self, what: str, rank_N: np.ndarray, customer_N: np.ndarray) -> None:
        """How well right items were ranked."""
        start, ndcg = f"{self.name}, {what}", interval(gains(rank_N), customer_N)
        self.figures.append(Figure(f"{start}: NDCG@10", ndcg.mean))
        self.figures.append(Figure(f"{start}: HR@10", float(hits(rank_N).mean())))
        self.details.append(Figure(f"{start}: NDCG@10, at least", ndcg.low))
        self.details.append(Figure(f"{start}: NDCG@10, at most", ndcg.high))

    def beside(
        self,
        what: str,
        rank_N: np.ndarray,
        other_N: np.ndarray,
        customer_N: np.ndarray,
        *,
        surely: bool = True,
    ) -> None:
        """By how much one is above another: surely above, or at least not surely below."""
        apart = difference(gains(rank_N), gains(other_N), customer_N)
        start, goal = f"{self.name}, {what}: NDCG@10", (0.0, None) if surely else (None, 0.0)
        self.figures += [
            Figure(f"{start}, difference", apart.mean),
            Figure(f"{start}, at least", apart.low, goal=goal[0], better="above"),
            Figure(f"{start}, at most", apart.high, goal=goal[1], better="higher"),
        ]


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default=Path("../shared/data"))
@click.option("--epochs", default=TrainingSettings().epochs, show_default=True)
@click.option("--only", multiple=True, type=click.Choice(DATA_SETS))
def main(data: Path, epochs: int, only: tuple[str, ...]) -> None:
    """Measures, prints the table, and writes benchmarks/results/cold.json if it is whole."""
    sheets = []
    for name in only or DATA_SETS:
        home, sheet = Home(ROOT / name), Sheet(name)
        shutil.rmtree(home.path, ignore_errors=True)
        filling = ("simulate", *SIMULATION) if name == SIMULATED else ("import", data / name)
        run_program("features", *filling, "--home", home.path)
        _measure(home, TrainingSettings(epochs=epochs), sheet)
        sheets.append(sheet)
    trial = bool(only) or epochs != TrainingSettings().epochs
    figures = [each for sheet in sheets for each in sheet.figures]
    details = [each for sheet in sheets for each in sheet.details]
    results = ROOT / "trials" if trial else RESULTS
    sys.exit(report("cold", figures, details=details, results=results))


def _measure(home: Home, settings: TrainingSettings, sheet: Sheet) -> None:
    features = FeatureSettings(home=home.path)
    with prepared(features, settings) as whole, tempfile.TemporaryDirectory() as folder:
        run, hidden = hide(whole, SHARE, max_records=features.max_records)
        print(f"{sheet.name} ...", flush=True)
        ranker = fitted(run.plan, run.dataset).ranker
        sealed = write_artefact(Path(folder) / "artefact", ranker, run, [], {})
        _new_items(sheet, run, hidden, sealed.directory)
        _new_customers(sheet, run, hidden, sealed.standing)


def _new_items(sheet: Sheet, run: Prepared, hidden: Hidden, directory: Path) -> None:
    asking = asking_for_new(run, hidden)
    customer_N = asking.examples.customer_N
    sheet.count("new items", int(hidden.item_V.sum()))
    sheet.count("new items: first met by customers", len(customer_N))
    found: Mapping[str, Ranks] = {
        CONTENT: ranks_of_new(asking, directory, run, fresh=True),
        CATALOG: ranks_of_new(asking, directory, run, fresh=False),
        **counted_ranks(asking, run.counts, run.contest.described),
    }
    for at, kind in enumerate(("new items among all unmet", "new items among themselves")):
        for name, each in found.items():
            sheet.place(f"{kind}, {name}", each[at], customer_N)
        what = f"{kind}, {CONTENT} beside {CATEGORY}"
        sheet.beside(what, found[CONTENT][at], found[CATEGORY][at], customer_N)


def _new_customers(sheet: Sheet, run: Prepared, hidden: Hidden, standing: Standing) -> None:
    arrivals = run.contest.arrivals
    names = np.array([crc32(each.encode()) for each in hidden.customers], np.uint32)
    new_N = np.isin(arrivals.customer_N, names) & ~np.isin(arrivals.item_N, hidden.hashes)
    length_N = np.array([len(each) for each in arrivals.histories]) // RECORD_BYTES
    popular_N = ranks_by_channel(run.counts, arrivals)
    sheet.count("new customers", len(np.unique(arrivals.customer_N[new_N])))
    asked = {
        UNKNOWN: (standing.rank_by_mode[WITHOUT_PROFILE], new_N),
        f"after 1 to {FIRST}": (standing.rank_N, new_N & (length_N >= 1) & (length_N <= FIRST)),
    }
    for name, (rank_N, chosen_N) in asked.items():
        ours, popular, customer_N = (
            each[chosen_N] for each in (rank_N, popular_N, arrivals.customer_N)
        )
        what = f"new customers, {name}"
        sheet.count(f"{what}: asked", len(ours))
        sheet.place(f"{what}, model", ours, customer_N)
        sheet.place(f"{what}, popularity by channel", popular, customer_N)
        beside = f"{what}, model beside popularity"
        sheet.beside(beside, ours, popular, customer_N, surely=name != UNKNOWN)


if __name__ == "__main__":
    main()
