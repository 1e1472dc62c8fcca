"""python -m training watch: the triggers in a table, and a training if one has fired."""

from collections.abc import Sequence
from datetime import UTC, datetime
from threading import Event
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from features.settings import FeatureSettings, options
from training.rollout.command import look as look_at_canary
from training.settings import (
    AnalysisSettings,
    RolloutSettings,
    TrainingError,
    TrainingSettings,
    WatchSettings,
    picked,
)

NOT_YET = 3  # exit status where no trigger has fired; 1 and 2 are errors
MINUTE_S = 60.0


@click.command("watch")
@click.option("--every", default=0.0, help="Minutes from one look to the next; 0 looks once.")
@click.option("--train", "trains", is_flag=True, help="Trains if a trigger has fired.")
@options(WatchSettings)
@options(AnalysisSettings)
@options(FeatureSettings)
@options(TrainingSettings)
@options(RolloutSettings)
@click.pass_context
def watch_command(context: click.Context, every: float, trains: bool, **values: Any) -> None:
    """Says whether it is time to train again, and why; status 0 if it is, 3 if not.

    Looks at the canary first, if there is one, as `analyze` does.
    """
    fired = _look(context, trains, values)
    while every > 0:
        Event().wait(every * MINUTE_S)
        fired = _look(context, trains, values)
    if not fired and not trains:
        context.exit(NOT_YET)


def _look(context: click.Context, trains: bool, values: dict[str, Any]) -> bool:
    from training.watching.watching import watch

    console = Console(highlight=False)
    features, settings = picked(FeatureSettings, values), picked(WatchSettings, values)
    try:
        look_at_canary(features, picked(AnalysisSettings, values), console)
    except TrainingError as error:  # which is no reason not to train
        console.print(f"The canary cannot be looked at: {error}", soft_wrap=True)
    triggers = watch(features, settings, datetime.now(UTC), console.print)
    console.print(table_of(triggers))
    fired = [each.name for each in triggers if each.fired]
    console.print(f"It is time to train: {', '.join(fired)}." if fired else "Nothing has fired.")
    if fired and trains:
        _train(context, values)
    return bool(fired)


def table_of(triggers: Sequence[Any]) -> Table:
    """One row a trigger, those that have fired in bold."""
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    for name in ("trigger", "value", "limit", "", ""):
        table.add_column(name, justify="right" if name in ("value", "limit") else "left")
    for each in triggers:
        value, limit = f"{each.value:,.4g}", f"{each.limit:,.4g}"
        mark, style = ("fired", "bold") if each.fired else ("", "")
        table.add_row(each.name, value, limit, mark, each.text, style=style)
    return table


def _train(context: click.Context, values: dict[str, Any]) -> None:
    group = context.find_root().command
    assert isinstance(group, click.Group)
    others = {*WatchSettings.__slots__, *AnalysisSettings.__slots__}
    chosen = {name: value for name, value in values.items() if name not in others}
    context.invoke(group.commands["train"], **chosen)
