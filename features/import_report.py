"""What an import shows: a progress bar while it runs, and the summary when it has ended."""

from collections.abc import Iterator
from dataclasses import replace

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from features.importing import Summary
from features.readers.reading import Chunk, Reading

REASONS_SHOWN = 10


def progressing(reading: Reading) -> Reading:
    """The same reading; as its chunks are consumed, a bar on a terminal moves."""
    return replace(reading, chunks=_progressing(reading))


def _progressing(reading: Reading) -> Iterator[Chunk]:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    console = Console(stderr=True)
    with Progress(
        *columns,
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task(f"Importing {reading.source}", total=reading.row_count)
        for chunk in reading.chunks:
            yield chunk
            progress.advance(task, len(chunk.rows) + len({each.row for each in chunk.rejects}))


def report(summary: Summary, source: str, held: int) -> Iterator[Table | str]:
    """The summary as it is printed; `held` interactions are in the history now."""
    yield _grid(
        ("rows read", f"{summary.read:,}"),
        ("accepted", f"{summary.accepted:,}"),
        ("duplicate", f"{summary.duplicate:,}"),
        ("rejected", f"{summary.rejected:,}"),
        ("history now", f"{held:,}"),
        title=f"Imported {source}",
    )
    if summary.types:
        yield _grid(*_content(summary), title="\nIn the lawful rows")
    if summary.reject_file:
        counts = summary.reasons.most_common(REASONS_SHOWN)
        rows = [(f"{name}: {rule}"[:90], f"{count:,}") for (name, rule), count in counts]
        yield _grid(*rows, title="\nRejected because")
        if summary.items_rejected:
            yield f"\n{summary.items_rejected:,} items were rejected too."
        yield f"\nEach rejected row, with its value: {summary.reject_file}"


def _content(summary: Summary) -> Iterator[tuple[str, str]]:
    yield "customers", f"{len(summary.customers):,}"
    yield "items", f"{summary.items:,} ({summary.items_written:,} new or changed)"
    yield "first", f"{summary.first_time:%Y-%m-%d %H:%M:%S}"
    yield "last", f"{summary.last_time:%Y-%m-%d %H:%M:%S}"
    for name, count in summary.types.most_common():
        yield name, f"{count:,}"


def _grid(*rows: tuple[str, str], title: str) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.title, grid.title_justify, grid.title_style = title, "left", "bold"
    grid.add_column()
    grid.add_column(justify="right")
    for row in rows:
        grid.add_row(*row)
    return grid
