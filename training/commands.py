"""Commands about models that are registered: list, show, compare, rollback."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from features.rollout import WITHDRAWN
from features.settings import FeatureSettings, Home, options
from training.settings import GATED, TrainingSettings, picked


@click.command("list")
@options(FeatureSettings)
def list_command(**values: Any) -> None:
    """Lists the registered models, newest first."""
    for each in _publisher(FeatureSettings(**values)).versions():
        created = datetime.fromtimestamp(each.created_ms / 1000, UTC)
        figures = "  ".join(f"{name} {each.metrics.get(name, float('nan')):.4f}" for name in GATED)
        withdrawn = "withdrawn" if WITHDRAWN in each.tags else ""
        mark = ", ".join(each.aliases) or withdrawn or each.tags.get("verdict", "")
        origin = _origin(each.tags)
        click.echo(f"{each.version:>4}  {created:%Y-%m-%d %H:%M}  {figures}  {mark}{origin}")


def _origin(tags: Mapping[str, str]) -> str:
    start, crowned = tags.get("lineage.start", ""), tags.get("crowned_time", "")
    parts = [f"from model {start}"] if start else []
    parts += [f"crowned {crowned[:16].replace('T', ' ')}"] if crowned else []
    parts += ["rolled back"] if "rolled_back_time" in tags else []
    return f" ({', '.join(parts)})" if parts else ""


@click.command("show")
@click.argument("version")
@options(FeatureSettings)
def show_command(version: str, **values: Any) -> None:
    """Shows what a model was made from, how it was judged, and when it reigned."""
    publisher = _publisher(FeatureSettings(**values))
    for name, value in sorted(publisher.tags(version).items()):
        click.echo(f"{name:26}  {value}")


@click.command("rollback")
@click.argument("version", default="")
@options(FeatureSettings)
def rollback_command(version: str, **values: Any) -> None:
    """Crowns VERSION, or the model that reigned before; servers follow by themselves."""
    from features.vocabulary import load_vocabulary
    from training.rollback import roll_back

    features = FeatureSettings(**values)
    vocabulary, keys = load_vocabulary(features.vocabulary), features.trusted_keys
    change = roll_back(_publisher(features), vocabulary, version, trusted_keys=keys)
    before = f"; it was model {change.before}" if change.before else ""
    click.echo(f"Model {change.now} is the champion from now on{before}.")


@click.command("compare")
@click.argument("first")
@click.argument("second")
@options(FeatureSettings)
@options(TrainingSettings)
def compare_command(first: str, second: str, **values: Any) -> None:
    """Judges two models on the newest part of the history, and shows what else differs."""
    from training import preparing
    from training.comparison import compare

    console = Console(highlight=False)
    features, settings = picked(FeatureSettings, values), picked(TrainingSettings, values)
    for version in (first, second):
        _publisher(features).find(version)  # before minutes of reading
    with preparing.prepared(features, settings, console.print) as run:
        comparison = compare(run, first, second)
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    for name in ("", f"model {first}", f"model {second}", "difference"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for each in comparison.measures:
        gain = each.gain
        bounds = f"{gain.mean:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"
        table.add_row(each.name, *(f"{value:.4f}" for value in each.values), bounds)
    console.print(table)
    for name, some, other in comparison.differing:
        console.print(f"{name}: {some or 'none'} | {other or 'none'}", soft_wrap=True)


def _publisher(features: FeatureSettings) -> Any:
    from training.publishing import Publisher

    return Publisher(Home(features.home, features.tracking_url, features.tenant))
