"""Decisions: whether they are judged right before they go live.

make bench NAME=decision ARGS="--data ../shared/data/open-bandit"

Each group of figures is a module's function. Open Bandit's estimates from real logs are compared
with what was logged (benchmarks/open_bandit.py), and with those of `obp`, which is installed into
an environment of its own on demand.
"""

import sys
from pathlib import Path

import click

from benchmarks import open_bandit
from benchmarks.report import report


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path("../shared/data/open-bandit"),
    show_default=True,
    help="the folder with Open Bandit's logs",
)
def main(data: Path) -> None:
    """Measures, prints the table, and writes benchmarks/results/decision.json."""
    figures = []
    if data.is_dir():
        figures += list(open_bandit.figures(data))
    else:
        print(f"Open Bandit was left out: there is no folder {data}")
    sys.exit(report("decision", figures))


if __name__ == "__main__":
    main()
