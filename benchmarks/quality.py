"""How well the model finds the next item in a published data set: the protocol of the papers.

    make bench NAME=quality ARGS="--data ../shared/data/ml-1m/ml-1m.txt.gz"
    make bench NAME=quality ARGS="--users 300 --seeds 1 --epochs 1"   # a trial: nothing is kept

The file holds lines of user and item, each user's in time order. The last item of each user is to
be found among all items, those that the user has had left out; all lines before it are learnt
from, by the product's own loop, model and exported graph. Mean and spread over the seeds. Figures
from other files of the same data set, which order ties in time differently, ask for other items
and cannot be compared.
"""

import sys
import tempfile
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.fitting import fitted
from benchmarks.found import K, found_by, gain_of, ranks_of
from benchmarks.leave_one_out import leave_one_out
from benchmarks.published import Lines, read_lines
from benchmarks.report import RESULTS, Figure, report
from features.settings import options
from training.learning.cluster import cluster
from training.settings import TrainingSettings

DATA = Path("../shared/data/ml-1m/ml-1m.txt.gz")
NDCG_GOAL, HR_GOAL, PARAMETERS_GOAL = 0.195, 0.33, 5e6  # on ml-1m


@dataclass(frozen=True, slots=True)
class Quality:
    """How one seed did."""

    ndcg: float
    hit_rate: float
    wall_s: float
    parameters: int


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), default=DATA)
@click.option("--users", default=0, help="Only so many users; 0 is all.")
@click.option("--seeds", default=3, show_default=True, help="Runs, from --seed on.")
@options(TrainingSettings)
def main(data: Path, users: int, seeds: int, **values: Any) -> None:
    """Learns, asks, prints, and writes the results."""
    # The protocol knows no customers without a profile.
    settings = replace(TrainingSettings(**values).as_meant(), without_profile=0.0)
    lines = read_lines(data).first(users)
    runs = []
    for seed in range(settings.seed, settings.seed + seeds):
        runs.append(judged(lines, replace(settings, seed=seed)))
        click.echo(f"seed {seed}: NDCG@{K} {runs[-1].ndcg:.4f}  HR@{K} {runs[-1].hit_rate:.4f}")
    trial = bool(users) or settings.smoke
    with tempfile.TemporaryDirectory() as scratch:
        figures, details = _figures(runs, trial=trial), _settings(settings)
        results = Path(scratch) if trial else RESULTS
        sys.exit(report("quality", figures, details=details, results=results))


def judged(lines: Lines, settings: TrainingSettings) -> Quality:
    """One run."""
    with cluster():
        trial = leave_one_out(lines, settings)
        fit = fitted(trial.plan, trial.dataset)
    items = trial.plan.items
    found_NK = found_by(fit.ranker, trial.examples, items, trial.weight_NT, unseen=True)
    rank_N = ranks_of(found_NK, trial.right_N)
    return Quality(
        ndcg=float(gain_of(rank_N).mean()),
        hit_rate=float((rank_N <= K).mean()),
        wall_s=fit.wall_s,
        parameters=sum(each.numel() for each in fit.ranker.model.parameters()),
    )


def _figures(runs: list[Quality], *, trial: bool) -> list[Figure]:
    """Goals are for the whole of ml-1m."""
    ndcg, hits = [each.ndcg for each in runs], [each.hit_rate for each in runs]
    goals = (None, None, None) if trial else (NDCG_GOAL, HR_GOAL, PARAMETERS_GOAL)
    return [
        Figure(
            f"NDCG@{K}, mean of {len(runs)} seeds", float(np.mean(ndcg)), "", goals[0], "higher"
        ),
        Figure(f"NDCG@{K}, least to most", max(ndcg) - min(ndcg)),
        Figure(f"HR@{K}, mean", float(np.mean(hits)), "", goals[1], "higher"),
        Figure(f"HR@{K}, least to most", max(hits) - min(hits)),
        Figure("parameters", runs[0].parameters, "", goals[2]),
        Figure("wall time of a run's steps", float(np.mean([each.wall_s for each in runs])), "s"),
    ]


def _settings(settings: TrainingSettings) -> list[Figure]:
    """What was learnt with, as far as it is a number."""
    values = {each.name: getattr(settings, each.name) for each in fields(settings)}
    return [
        Figure(f"setting {name}", float(value))
        for name, value in values.items()
        if isinstance(value, int | float)
    ]


if __name__ == "__main__":
    main()
