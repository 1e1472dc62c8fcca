"""python -m features: what we know, from the command line."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from features.history import count
from features.import_report import progressing, report
from features.importing import import_reading
from features.readers.formats import FORMATS, open_source
from features.readers.reading import UnreadableSourceError
from features.settings import FeatureSettings, Home, options
from features.vocabulary import load_vocabulary


@click.group()
def main() -> None:
    """Fills and looks after what is known: the history of interactions, and the items."""


@main.command("import")
@click.argument("path", metavar="SOURCE", type=click.Path(path_type=Path))
@click.option("--format", type=click.Choice(list(FORMATS)), help="guessed from SOURCE if absent")
@click.option("--source", help="the source's name in the history; the format if absent")
@options(FeatureSettings)
def import_command(path: Path, format: str | None, source: str | None, **settings: Any) -> None:
    """Imports the interactions of a file or folder; rows that break a rule go to a reject file."""
    chosen = FeatureSettings(**settings)
    home = Home(chosen.home)
    vocabulary = load_vocabulary(chosen.vocabulary)
    try:
        reading = progressing(open_source(path, format=format, source=source))
        summary = import_reading(reading, home, vocabulary=vocabulary, now=datetime.now(UTC))
    except UnreadableSourceError as error:
        raise click.ClickException(str(error)) from error
    console = Console(highlight=False, soft_wrap=True)
    for each in report(summary, reading.source, count(home.history)):
        console.print(each)


if __name__ == "__main__":
    main(prog_name="python -m features")
