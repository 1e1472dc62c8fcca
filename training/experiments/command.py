"""python -m training report: what the arms of an experiment are worth, in tables and on a page."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from features.settings import FeatureSettings, Home, options
from training.settings import ReportSettings, picked


@click.command("report")
@click.option(
    "--html",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="HTML file to write, with plots",
)
@options(ReportSettings)
@options(FeatureSettings)
def report_command(html: Path | None, **values: Any) -> None:
    """Says what each arm of an experiment is worth to customers and company, and how sure that is.

    From what has been drained (python -m features drain): decisions, and what followed them.
    """
    from features.vocabulary import load_vocabulary
    from training.experiments.page import render
    from training.experiments.reading import observe
    from training.experiments.telling import show

    features, settings = picked(FeatureSettings, values), picked(ReportSettings, values)
    observed = observe(
        Home(features.home),
        load_vocabulary(features.vocabulary),
        window=timedelta(days=settings.window_days),
        experiment=settings.experiment,
    )
    show(Console(highlight=False), observed)
    if html is not None:
        html.write_text(render(observed))
