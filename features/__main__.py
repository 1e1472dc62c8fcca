"""python -m features: what we know, from the command line."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from features.decisions.draining import drain_decisions
from features.decisions.parts import DECISIONS
from features.history.compaction import HISTORY, compact
from features.history.draining import drain
from features.history.importing import import_reading
from features.history.partitions import count
from features.log.contract import LogError
from features.measures.skew import check_skew
from features.privacy.commands import erase_command, export_command, retain_command
from features.privacy.forgetting import read_erasures
from features.progress import counting
from features.readers.formats import FORMATS, open_source
from features.readers.mapping import load_mapping
from features.readers.reading import UnreadableSourceError
from features.reporting import print_import, print_simulation, print_skew
from features.settings import FeatureSettings, Home, options
from features.simulation.simulate import (
    MIN_ITEMS,
    Scenario,
    SimulationError,
    midnight_of,
    simulate,
)
from features.vocabulary import Initiator, VocabularyError, load_vocabulary


@click.group(commands=[retain_command, erase_command, export_command])
def main() -> None:
    """Fills and looks after what is known: the history of interactions, and the items."""


@main.command("import")
@click.argument("path", metavar="SOURCE", type=click.Path(path_type=Path))
@click.option("--format", type=click.Choice(FORMATS), help="guessed from SOURCE if absent")
@click.option("--source", help="the source's name in the history; format or file if absent")
@click.option(
    "--mapping", "file", type=click.Path(path_type=Path), help="TOML file: which column is what"
)
@click.option(
    "--map", "columns", multiple=True, metavar="FIELD=COLUMN", help="where a field comes from"
)
@click.option(
    "--set", "constants", multiple=True, metavar="FIELD=VALUE", help="what all rows have in common"
)
@options(FeatureSettings)
def import_command(
    path: Path,
    format: str | None,
    source: str | None,
    file: Path | None,
    columns: tuple[str, ...],
    constants: tuple[str, ...],
    **settings: Any,
) -> None:
    """Imports the interactions of a file or folder; rows that break a rule go to a reject file."""
    chosen = FeatureSettings(**settings)
    home, vocabulary = Home(chosen.home), load_vocabulary(chosen.vocabulary)
    mapping = load_mapping(file, columns, constants)
    reading = open_source(
        path, format=format, source=source, mapping=mapping, vocabulary=vocabulary
    )
    with counting(f"importing {path.name}", reading.row_count) as progress:
        summary = import_reading(
            reading,
            home,
            vocabulary=vocabulary,
            now=datetime.now(UTC),
            erasures=read_erasures(chosen),
            progress=progress,
        )
    print_import(summary, reading.source, count(home.history))


@main.command("apply")
@options(FeatureSettings)
def apply_command(**settings: Any) -> None:
    """Creates Feast's registry and the online store, and applies what the log has and it lacks."""
    from features.live import LiveFeatures  # feast takes seconds to import

    LiveFeatures(FeatureSettings(**settings)).close()
    click.echo("applied: definitions registered, online store up to date with the log")


@main.command("materialize")
@options(FeatureSettings)
def materialize_command(**settings: Any) -> None:
    """Fills the online store: items, each customer's newest interactions, what it lacks of the log.

    It then counts as whole, and so do the answers that are based on it.
    """
    _materialize(FeatureSettings(**settings), whole_log=False)


@main.command("rebuild")
@options(FeatureSettings)
def rebuild_command(**settings: Any) -> None:
    """Rebuilds a lost or doubtful online store from the history and the whole log.

    Servers go on meanwhile, and label their answers as incomplete until it is done.
    """
    _materialize(FeatureSettings(**settings), whole_log=True)


def _materialize(chosen: FeatureSettings, *, whole_log: bool) -> None:
    from features.online.contract import OnlineError
    from features.online.materialization import materialize  # feast takes seconds to import

    began_s = time.monotonic()
    try:
        with counting("rebuilding" if whole_log else "materializing") as progress:
            done = materialize(chosen, whole_log=whole_log, progress=progress)
    except OnlineError as error:
        raise click.ClickException(str(error)) from error
    counts = f"{done.interaction_count:,} interactions, {done.item_count:,} items"
    took = f" in {time.monotonic() - began_s:.1f} s" if whole_log else ""
    click.echo(f"{'rebuilt' if whole_log else 'materialized'} {counts}{took}")


@main.command("compact")
@click.option(
    "--grace-hours",
    type=click.FloatRange(min=0),
    default=24.0,
    show_default=True,
    help="how long replaced files stay for those who read them; 0 if nobody does",
)
@options(FeatureSettings)
def compact_command(grace_hours: float, **settings: Any) -> None:
    """Merges the small files of history and decisions, day by day; meant for a schedule."""
    home = Home(FeatureSettings(**settings).home)
    for root, form, name in (
        (home.history, HISTORY, "interactions"),
        (home.decisions, DECISIONS, "decisions"),
    ):
        with counting(f"compacting days of {name}") as progress:
            done = compact(
                root, form=form, grace_s=grace_hours * 3600, now=time.time(), progress=progress
            )
        click.echo(
            f"compacted {done.part_count:,} files into {done.file_count:,}: "
            f"{done.row_count:,} {name}"
        )


@main.command("drain")
@options(FeatureSettings)
def drain_command(**settings: Any) -> None:
    """Writes what the logs have and the history lacks into the history: for training, and judging.

    Interactions and decisions; the decision log is emptied by it.
    """
    chosen = FeatureSettings(**settings)
    with counting("draining") as progress:
        drained = drain(chosen, progress=progress)
        decisions = drain_decisions(chosen, progress=progress)
    click.echo(f"drained {drained:,} interactions and {decisions:,} decisions into the history")


@main.command("measure")
@click.option("--again", is_flag=True, help="also the days there are, as after an import")
@options(FeatureSettings)
def measure_command(again: bool, **settings: Any) -> None:
    """Writes daily snapshots of the items' measures, and the newest to the online store."""
    from features.measures.items import newest_snapshot, snapshot_items
    from features.online.store import OnlineFeatures

    chosen = FeatureSettings(**settings)
    home, today, count = Home(chosen.home), datetime.now(UTC).date(), 0
    with counting("measuring items") as progress:
        days = snapshot_items(home, today=today, again=again, progress=progress)
        online = OnlineFeatures(chosen)
        for rows in newest_snapshot(home):
            online.write_item_measures(rows)
            count += len(rows)
    click.echo(f"measured {days:,} days; {count:,} items in the online store")


@main.command("skew")
@click.option("--days", type=click.IntRange(1), default=7, show_default=True, help="how far back")
@click.option("--all", "every", is_flag=True, help="also the features that are equal")
@options(FeatureSettings)
@click.pass_context
def skew_command(context: click.Context, days: int, every: bool, **settings: Any) -> None:
    """Compares features of logged decisions with the history; exit status 1 if any differs."""
    since = datetime.now(UTC) - timedelta(days=days)
    found = check_skew(FeatureSettings(**settings), since=since)
    print_skew(found, every=every)
    if any(each.equal < each.compared for each in found):
        context.exit(1)


@main.command("read")
@click.argument("customer")
@options(FeatureSettings)
def read_command(customer: str, **settings: Any) -> None:
    """Shows what decisions see of a CUSTOMER (an anonymous one: anonymous:ID), newest first."""
    from features.live import LiveFeatures

    with LiveFeatures(FeatureSettings(**settings)) as live:
        held = live.held(customer)
    for each in held:
        name = (each.item.name or each.item.item_id) if each.item else ""
        by = "company" if each.initiator == Initiator.COMPANY else ""
        click.echo(f"{each.event_time:%Y-%m-%d %H:%M}  {each.channel:15}{each.type:16}{by:9}{name}")
    click.echo(f"{len(held)} interactions held of {customer!r}")


@main.command("simulate")
@click.option("--customers", type=click.IntRange(1, 10_000_000), default=2000, show_default=True)
@click.option("--days", type=click.IntRange(1, 3650), default=90, show_default=True)
@click.option("--items", type=click.IntRange(MIN_ITEMS, 1_000_000), default=1000, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True)
@click.option(
    "--until",
    type=click.DateTime(["%Y-%m-%d"]),
    help="day (UTC) before which the history ends; today if absent: name it to get the same again",
)
@options(FeatureSettings)
def simulate_command(
    customers: int, days: int, items: int, seed: int, until: datetime | None, **settings: Any
) -> None:
    """Makes up a shop, its customers, and their history with known ground truth."""
    chosen = FeatureSettings(**settings)
    scenario = Scenario(
        customers=customers,
        days=days,
        items=items,
        seed=seed,
        until=midnight_of(until or datetime.now(UTC)),
    )
    with counting("simulating", scenario.days) as progress:
        done = simulate(
            scenario,
            Home(chosen.home),
            vocabulary=load_vocabulary(chosen.vocabulary),
            progress=progress,
        )
    print_simulation(scenario, done)


if __name__ == "__main__":
    try:
        main(prog_name="python -m features")
    except (UnreadableSourceError, SimulationError, VocabularyError, LogError, OSError) as error:
        raise SystemExit(f"Error: {error}") from error
