"""Decisions: whether they are judged right before they go live, pay for both sides, and are cheap.

    make bench NAME=decision ARGS="--data ../shared/data/open-bandit"
    make bench NAME=decision ARGS="--only propensities"     # a part: its results are not kept

Each part is a module. Open Bandit's estimates from real logs are compared with what was logged
(benchmarks/open_bandit.py), and with those of `obp`, which is installed into an environment of its
own on demand; a simulated world goes on under the policy, and under others
(benchmarks/closed_loop.py); sampled decisions are compared with what they logged
(benchmarks/propensities.py); and a server tells what the policy costs (benchmarks/policy_cost.py).
"""

import sys
from collections.abc import Iterable
from pathlib import Path

import click

from benchmarks import closed_loop, open_bandit, policy_cost, propensities
from benchmarks.report import RESULTS, Figure, report
from features.settings import Home

HOME = Home(Path(".interplay/bench/decision"))
PARTS = ("open-bandit", "propensities", "closed-loop", "cost")
OPEN_BANDIT, PROPENSITIES, CLOSED_LOOP, COST = PARTS


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path("../shared/data/open-bandit"),
    show_default=True,
    help="the folder with Open Bandit's logs",
)
@click.option("--only", multiple=True, type=click.Choice(PARTS), help="parts to measure")
def main(data: Path, only: tuple[str, ...]) -> None:
    """Measures, prints the table, and writes benchmarks/results/decision.json if it is whole."""
    parts = list(only or PARTS)
    if OPEN_BANDIT in parts and not data.is_dir():
        print(f"Open Bandit was left out: there is no folder {data}")
        parts.remove(OPEN_BANDIT)
    if not {CLOSED_LOOP, COST}.isdisjoint(parts):
        print("a world, and a model of it ...", flush=True)
        closed_loop.train(HOME)
    figures = [figure for part in parts for figure in _figures(part, data)]
    whole = set(parts) == set(PARTS)
    sys.exit(report("decision", figures, results=RESULTS if whole else HOME.path / "trials"))


def _figures(part: str, data: Path) -> Iterable[Figure]:
    print(f"{part} ...", flush=True)
    if part == OPEN_BANDIT:
        return open_bandit.figures(data)
    if part == PROPENSITIES:
        return propensities.figures()
    return closed_loop.figures(HOME) if part == CLOSED_LOOP else policy_cost.figures(HOME)


if __name__ == "__main__":
    main()
