"""The record of faults: what was injected, what was promised, what was seen.

make bench NAME=faults                                # ARGS="--quick" for a trial
make bench NAME=faults ARGS="--only redis-frozen"     # one of them; --list names all

Each is tried against real servers: ours, started as a user starts them, Redis and NATS, on free
ports and in folders of their own. What can be had on no machine of this kind is said to be untried.
"""

import sys
import traceback
from collections.abc import Sequence

import click

from benchmarks.fault import (
    alerts,
    artefacts,
    devices,
    disk,
    forgeries,
    ingest,
    redis_away,
    replicas,
    requests,
    retrying,
    strangers,
)
from benchmarks.fault.scene import HOME, Scene, prepare
from benchmarks.fault.trial import Fault, Seen, none_of
from benchmarks.report import RESULTS, Figure, report

KEPT = {True: "yes", False: "no", None: "not tried"}


def faults() -> list[Fault]:
    """All of them, in the order of the table."""
    stores = (redis_away, ingest, disk)
    servers = (replicas, artefacts, forgeries, devices)
    callers = (requests, retrying, strangers, alerts)
    modules = (*stores, *servers, *callers)
    return [fault for each in modules for fault in each.faults()]


@click.command()
@click.option("--only", multiple=True, help="the name of a fault; may be given several times")
@click.option("--quick", is_flag=True, help="fewer repetitions: a trial, no record")
@click.option("--afresh", is_flag=True, help="makes history and model anew")
@click.option("--list", "names", is_flag=True, help="names the faults, and ends")
def main(only: Sequence[str], quick: bool, afresh: bool, names: bool) -> None:
    """Tries them, prints the table, and writes benchmarks/results/faults.json."""
    chosen = [each for each in faults() if not only or each.name in only]
    if names:
        print("\n".join(each.name for each in chosen))
        return
    if not chosen:
        sys.exit(f"there is no fault {', '.join(only)}: see --list")
    prepare(again=afresh)
    scene, rows, figures = Scene(quick=quick), [], list[Figure]()
    for fault in chosen:
        print(f"{fault.name}: {fault.injected}", file=sys.stderr, flush=True)
        seen = _attempt(fault, scene)
        rows.append((fault, seen))
        figures += fault.figures(seen)
        print(f"    {seen.text}", file=sys.stderr, flush=True)
    results = HOME.path if only or quick else RESULTS  # a record holds all of them
    fell_short = report("faults", figures, results=results)
    _print_table(rows)
    sys.exit(fell_short)


def _attempt(fault: Fault, scene: Scene) -> Seen:
    try:
        return fault.attempt(scene)
    except Exception as error:  # the next fault is tried all the same
        traceback.print_exc()
        return Seen([none_of("breakdowns of the attempt", 1)], f"{type(error).__name__}")


def _print_table(rows: Sequence[tuple[Fault, Seen]]) -> None:
    """As it stands in the README."""
    print("\n| fault | injected | promised | seen | kept |\n|---|---|---|---|---|")
    for fault, seen in rows:
        cells = fault.name, fault.injected, fault.promised, seen.text, KEPT[seen.kept]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
