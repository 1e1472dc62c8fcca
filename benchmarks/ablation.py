"""What the unified history is worth: the same model without parts of it, on the same questions.

    make bench NAME=ablation
    make bench NAME=ablation ARGS="--only tmall --epochs 1 --seeds 1"   # its results are not kept

One model for each ablation learns what came before the newest tenth of the interactions. Each is
asked, as customers come, for the item that comes next: after each history in that tenth, of which
it sees what it has learnt from. Where it is a purchase that comes, a model that knows purchases is
asked for the next purchase's item; among all interactions, for whatever comes. Differences to the
unified history are paired; intervals of 95 % are drawn by bootstrap over customers, and hold for
the mean of the seeds. Items are those that occur before the cut: of a new one none knows anything.

What a data set does not have cannot be left out of it. Without time gaps only the order stays:
silence is then not learnt, as there is none, and some customers' newest interactions that validate
are as many for each of them.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np

from benchmarks.ablated import (
    ABLATIONS,
    GAP,
    PURCHASES,
    UNIFIED,
    Ablation,
    ablated,
    ablated_examples,
    is_idle,
)
from benchmarks.composed import run_program
from benchmarks.fitting import fitted
from benchmarks.found import found_by, gain_of, ranks_of
from benchmarks.newest import Newest, dataset_of, newest_of
from benchmarks.report import RESULTS, Figure, report
from features.record import RECORD_BYTES
from features.settings import Home
from training.data.split import VALIDATION_SHARE
from training.data.steps import item_indices
from training.export.ranker import Ranker
from training.judging.contest import count_followers
from training.judging.intervals import difference
from training.learning.cluster import cluster
from training.learning.plan import make_plan
from training.settings import TrainingSettings

ROOT = Path(".interplay/bench")
DATA_SETS = ("tmall", "complete-journey")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What each example adds to a metric; the mean of several seeds."""

    gain_P: np.ndarray  # to NDCG@10 of purchases
    hit_P: np.ndarray  # to HR@10 of purchases
    gain_N: np.ndarray  # to NDCG@10 of all


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default=Path("../shared/data"))
@click.option("--epochs", default=TrainingSettings().epochs, show_default=True)
@click.option("--seeds", default=3, show_default=True, help="models for each ablation")
@click.option("--only", multiple=True, type=click.Choice(DATA_SETS))
def main(data: Path, epochs: int, seeds: int, only: tuple[str, ...]) -> None:
    """Measures, prints the table, and writes benchmarks/results/ablation.json if it is whole."""
    figures: list[Figure] = []
    for name in only or DATA_SETS:
        home = Home(ROOT / name)
        run_program("features", "import", data / name, "--home", home.path)  # once: else duplicates
        settings = [TrainingSettings(epochs=epochs, seed=seed + 1) for seed in range(seeds)]
        with cluster():
            newest = newest_of(home, settings[0])
            figures += _figures(name, newest, dict(_outcomes(name, newest, settings)))
    sys.exit(report("ablation", figures, results=ROOT / "trials" if only else RESULTS))


# ---- Models ------------------------------------------------------------------------------------


def _outcomes(
    name: str, newest: Newest, settings: Sequence[TrainingSettings]
) -> Iterator[tuple[Ablation, Outcome]]:
    """Of each ablation that leaves something out, and something over."""
    whole = newest.history["records"].to_pylist()
    for each in ABLATIONS:
        history = _without(each, newest)
        if is_idle(each, whole) or not any(history):
            print(f"{name}, {each.name}: nothing to leave out, or nothing left", flush=True)
            continue
        print(f"{name}, {each.name} ...", flush=True)
        outcomes = [_outcome(each, history, newest, some) for some in settings]
        fields = ([getattr(one, field) for one in outcomes] for field in Outcome.__slots__)
        yield each, Outcome(*(np.mean(values, axis=0) for values in fields))


def _without(ablation: Ablation, newest: Newest) -> list[bytes]:
    """What a model learns from, by customer."""
    until_tick, vocabulary = newest.split.test_tick, newest.vocabulary
    return [
        ablated(history, ablation, vocabulary, until_tick=until_tick)
        for history in newest.history["records"].to_pylist()
    ]


def _outcome(
    ablation: Ablation, history: list[bytes], newest: Newest, settings: TrainingSettings
) -> Outcome:
    """Trains and judges one model."""
    rows, split = sum(map(len, history)) // RECORD_BYTES, newest.split
    if ablation.timeless:
        validating = max(1, round(VALIDATION_SHARE * rows / len(history)))
        split = replace(split, validation_tick=split.test_tick - validating * GAP)
    dataset = dataset_of(newest.history["customer"], history)
    followers = count_followers(dataset, split, newest.known.index)
    plan = make_plan(settings, split, newest.known, newest.vocabulary, followers, rows)
    ranker = fitted(plan, dataset).ranker
    rank_P = _ranks(ranker, ablation, newest, purchases=True)
    rank_N = _ranks(ranker, ablation, newest, purchases=False)
    return Outcome(gain_of(rank_P), np.isfinite(rank_P).astype(float), gain_of(rank_N))


def _ranks(ranker: Ranker, ablation: Ablation, newest: Newest, *, purchases: bool) -> np.ndarray:
    """Where the right items are found: of purchases, or of all that comes."""
    every, items = newest.examples, newest.known.index
    examples = every[newest.purchases] if purchases else every
    examples = ablated_examples(examples, ablation, newest.vocabulary)
    weight_NT = np.ones((len(examples), len(newest.vocabulary.predicted)), np.float32)
    if purchases and (not ablation.types or "purchase" in ablation.types):
        weight_NT[:] = np.arange(weight_NT.shape[1]) == newest.purchase
    found_NK = found_by(ranker, examples, items, weight_NT, unseen=False)
    return ranks_of(found_NK, item_indices(examples.item_N, items))


# ---- Figures -----------------------------------------------------------------------------------


def _figures(name: str, newest: Newest, outcomes: dict[Ablation, Outcome]) -> Iterator[Figure]:
    customer_N, unified = newest.examples.customer_N, outcomes[UNIFIED]
    customer_P = customer_N[newest.purchases]
    yield Figure(f"{name}: purchases asked for", len(customer_P))
    yield Figure(f"{name}: of all interactions asked for", len(customer_N))
    for ablation, each in outcomes.items():
        start = f"{name}, {ablation.name}"
        yield Figure(f"{start}: purchases, NDCG@10", float(each.gain_P.mean()))
        yield Figure(f"{start}: purchases, HR@10", float(each.hit_P.mean()))
        yield Figure(f"{start}: all, NDCG@10", float(each.gain_N.mean()))
        if ablation is UNIFIED:
            continue
        for kind, apart in (
            ("purchases", difference(each.gain_P, unified.gain_P, customer_P)),
            ("all", difference(each.gain_N, unified.gain_N, customer_N)),
        ):
            yield Figure(f"{start}: {kind}, NDCG@10 beside unified", apart.mean)
            yield Figure(f"{start}: {kind}, at least", apart.low)
            # The unified history must surely win against what only knows purchases.
            goal = 0.0 if ablation is PURCHASES and kind == "purchases" else None
            yield Figure(f"{start}: {kind}, at most", apart.high, goal=goal)


if __name__ == "__main__":
    main()
