"""python -m training tune: trials in a table, best first, and the flags that train takes."""

import shlex
from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from features.settings import FeatureSettings, options, words_of
from training.settings import TrainingError, TrainingSettings, TuneSettings, picked


@click.command("tune")
@options(TuneSettings)
@options(FeatureSettings)
@options(TrainingSettings)
def tune_command(**values: Any) -> None:
    """Searches for settings that learn better; the champion stays as it is."""
    from training import preparing  # seconds of imports: not for --help
    from training.tuning.search import search
    from training.tuning.space import read_space

    console = Console(highlight=False)
    features, tuning = picked(FeatureSettings, values), picked(TuneSettings, values)
    settings = picked(TrainingSettings, values).as_meant()
    if settings.warm_start:
        raise TrainingError("warm-start is on: trials begin from nothing, or could not be compared")
    space = read_space(tuning.space, settings, max_records=features.max_records)
    with preparing.prepared(features, settings, console.print) as run:
        tried = search(run, space, tuning, lambda text: console.print(text, soft_wrap=True))
    console.print(table_of(tried))
    best = tried[0]
    if not best.losses:
        raise TrainingError(f"no trial came through an epoch; trial {best.number}: {best.error}")
    words = ["python", "-m", "training", "train", *words_of(features), *words_of(best.settings)]
    console.print(f"\nTo train with the settings of trial {best.number}:", soft_wrap=True)
    console.print(shlex.join(words), soft_wrap=True)


def table_of(tried: Sequence[Any]) -> Table:
    """One row a trial."""
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    searched = [name.replace("_", "-") for name in tried[0].drawn]
    for name in ("trial", *searched, "validation loss", "epochs", ""):
        table.add_column(name, justify="right" if name else "left", no_wrap=bool(name))
    for each in tried:
        loss = f"{each.loss:.4f}" if each.losses else ""
        ending = each.error or ("given up" if each.given_up else "")
        values = (str(value) for value in each.drawn.values())
        style = "bold" if each is tried[0] else ""
        table.add_row(str(each.number), *values, loss, str(len(each.losses)), ending, style=style)
    return table
