"""What training prints: its progress, and how the contenders stand."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from training.judging.judging import Contest, Standing
from training.learning.progress import Progress
from training.report.findings import BRIEF, slice_rows

LINES = 10  # where there is no terminal, a line each time so many parts of the run are done


@contextmanager
def shown(console: Console) -> Iterator[Callable[[Progress], None]]:
    """Gives a function that shows progress: a bar on a terminal, elsewhere some lines."""
    if not console.is_terminal:
        yield _lines(console)
        return
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn()
    with Bar(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task("starting Ray", total=1.0)
        yield lambda progress: bar.update(
            task, completed=progress.done, description=_described(progress)
        )


def _lines(console: Console) -> Callable[[Progress], None]:
    printed = -1

    def show(progress: Progress) -> None:
        nonlocal printed
        if int(progress.done * LINES) > printed:
            printed = int(progress.done * LINES)
            console.print(f"{progress.done:4.0%}  {_described(progress)}")

    return show


def _described(progress: Progress) -> str:
    return f"epoch {progress.epoch}  loss {progress.loss:.3f}"


def show_standings(console: Console, standings: Sequence[Standing], contest: Contest) -> None:
    """How well each contender did, and the last one on the slices that are hardest."""
    console.print(standings_table(standings, contest))
    for row in slice_rows(standings[-1:], contest, BRIEF):
        (ndcg,) = row.ndcgs
        console.print(f"{row.name}: NDCG@10 {ndcg} at {row.examples:,}", soft_wrap=True)


def standings_table(standings: Sequence[Standing], contest: Contest) -> Table:
    """How well each contender did, the best NDCG in bold."""
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    table.caption = (
        f"{len(contest.arrivals):,} of {contest.arrival_count:,} next items, ranked among all; "
        f"intents at {len(contest.moments):,} of {contest.moment_count:,} moments"
    )
    table.caption_justify = "left"
    for name in ("", "NDCG@10", "HR@10", "MRR", "log-loss", "AUC"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    best = max(each.ranking.ndcg for each in standings)
    for each in standings:
        style = "bold" if each.ranking.ndcg == best else ""
        table.add_row(each.name, *_cells(each), style=style)
    return table


def _cells(standing: Standing) -> Iterator[str]:
    for value in (standing.ranking.ndcg, standing.ranking.hit_rate, standing.ranking.mrr):
        yield f"{value:.4f}"
    intent = standing.intent
    yield "" if intent is None else f"{intent.log_loss:.4f}"
    yield "" if intent is None else f"{intent.auc:.4f}"
