"""`make demo`: one recorded interaction changes the next answer, in another channel, at once.

Everything is real and runs here: history, training, features, server, and the calls of a channel
frontend. It ends by itself; what it leaves is its home, `.interplay/demo`.
"""

import shutil
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from itertools import zip_longest
from pathlib import Path

import click
from interplay.v1.personalization_service_pb2 import Candidate, DecideInteractionResponse
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from benchmarks.composed import ProgramError, judged, run_program, serving
from benchmarks.frontend import DECIDE, Frontend, question
from benchmarks.load import Load, percentile, run
from benchmarks.story import Story, customers, find_story, followers
from features.history.partitions import count
from features.settings import Home

HOME = Home(Path(".interplay/demo"))
SIMULATION = ("--customers", "2000", "--days", "60", "--seed", "7")
FIRST_CHANNEL, ACTING_CHANNEL, LAST_CHANNEL = "web", "store", "app"
ACTS = ("view", "cart-add")
CALLS = 1000
AGAIN = f"python -m serving --insecure --home {HOME.path} --assumed-consent personalization"
SHOWN = 8


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="real interactions to import instead")
def main(data: Path | None) -> None:
    """Shows the main job from beginning to end."""
    console = Console(highlight=False, width=100)
    try:
        _show(console, data)
    except ProgramError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        console.print("\nStopped. The next run starts afresh.")
        sys.exit(130)


def _show(console: Console, data: Path | None) -> None:
    shutil.rmtree(HOME.path, ignore_errors=True)
    console.print("\n[bold]Interplay[/]  What should the next interaction with a customer be?\n")
    _step(console, "1 History", lambda: _fill(data))
    _step(console, "2 Model", _train)
    _step(console, "3 Features", _materialize)
    with ExitStack() as stack:
        address = _step(console, "4 Server", lambda: stack.enter_context(serving(HOME.path)))
        frontend = stack.enter_context(closing(Frontend(address)))
        _act(console, frontend, find_story(HOME))
        _measure(console, address)
    console.print(f"\nGo on with it:  {AGAIN}\n")


def _step(console: Console, name: str, work: Callable[[], str]) -> str:
    began = time.monotonic()
    with console.status(name):
        outcome = work()
    took = f"{time.monotonic() - began:4.0f} s"
    console.print(f"[bold]{name:12}[/]{escape(outcome):76}[dim]{took}[/]")
    return outcome


def _fill(data: Path | None) -> str:
    if data is None:
        run_program("features", "simulate", *SIMULATION, "--home", HOME.path)
    else:
        run_program("features", "import", data, "--home", HOME.path)
    kind = "simulated" if data is None else f"from {data.name}"
    return f"{count(HOME.history):,} interactions, {kind}"


def _train() -> str:
    run_program("training", "train", "--home", HOME.path)
    found = judged(HOME)
    others = f"best of four baselines, {found.baseline}, {found.best:.3f}"
    return f"next item: NDCG@10 {found.ndcg:.3f}; {others}"


def _materialize() -> str:
    return run_program("features", "materialize", "--home", HOME.path).strip()


def _act(console: Console, frontend: Frontend, story: Story) -> None:
    """Asks, records, asks again in another channel, and shows both answers side by side."""
    console.print(f"\nCustomer [bold]{story.customer_id}[/], most recent interactions:")
    for each in frontend.held(story.customer_id)[:5]:
        when = each.event_time.ToDatetime()
        name = escape(each.item_name or each.item_id)
        console.print(f"  {when:%Y-%m-%d %H:%M}  {each.channel:15}{each.type:16}{name}")
    before = frontend.ask(story.customer_id, FIRST_CHANNEL, k=SHOWN)
    frontend.record(story.customer_id, ACTING_CHANNEL, ACTS, story.item_id)
    after = frontend.ask(story.customer_id, LAST_CHANNEL, k=SHOWN)
    did = " and ".join(f"[bold]{each}[/]" for each in ACTS)
    console.print(f"\nIn the {ACTING_CHANNEL}, now: {did} of [bold]{escape(story.item_name)}[/]\n")
    console.print(_side_by_side(before, after))
    console.print("", _intents(before, after), sep="\n")
    _explain(console, story, after)


def _side_by_side(before: DecideInteractionResponse, after: DecideInteractionResponse) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for channel, answer in ((FIRST_CHANNEL, before), (LAST_CHANNEL, after)):
        seen = f"{answer.freshness.interactions_seen} interactions seen"
        table.add_column(f"{channel}, {seen}", width=31, no_wrap=True)
        table.add_column("likely", justify="right")
        table.add_column("worth", justify="right")
    known = {each.item_id for each in before.candidates}
    for old, new in zip_longest(before.candidates, after.candidates):
        fresh = new is not None and new.item_id not in known
        table.add_row(*_cells(old), *_cells(new, style="bold green" if fresh else ""))
    return table


def _cells(candidate: Candidate | None, *, style: str = "") -> tuple[Text, str, str]:
    if candidate is None:
        return Text(), "", ""
    name = Text(candidate.name or candidate.item_id, style)
    return name, f"{candidate.score:.1%}", f"{candidate.value:.3f}"


def _intents(before: DecideInteractionResponse, after: DecideInteractionResponse) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("what comes next", width=38)
    table.add_column("before", justify="right")
    table.add_column("after", justify="right")
    old = {each.type: each.probability for each in before.intents}
    for each in after.intents[:5]:
        table.add_row(each.type, f"{old[each.type]:.1%}", f"{each.probability:.1%}")
    return table


def _explain(console: Console, story: Story, after: DecideInteractionResponse) -> None:
    """What others did in the same place: the answer can be held against it."""
    offered = {each.item_id: rank for rank, each in enumerate(after.candidates, start=1)}
    console.print(f"\nIs that plausible? After {escape(story.item_name)}, others turned to")
    for each in followers(HOME, story.item_id, most=3):
        rank = offered.get(each.item_id)
        place = f"[green]now offered in place {rank}[/]" if rank else "[dim]not offered[/]"
        console.print(f"  {each.share:5.1%}  {escape(each.name):40}{place}")


def _measure(console: Console, address: str) -> None:
    requests = [
        question(each, FIRST_CHANNEL, k=10).SerializeToString()
        for each in customers(HOME, most=500)
    ]
    result = run(Load(target=address, method=DECIDE, requests=requests, callers=1, calls=CALLS))
    latencies = result.latencies_ms()
    codes = ", ".join(f"{count:,} {name}" for name, count in result.counts().items())
    p50, p99 = (f"{percentile(latencies, q):.1f} ms" for q in (50, 99))
    console.print(f"\n{CALLS:,} decisions, one caller: p50 {p50}, p99 {p99}  [dim]({codes})[/]")


if __name__ == "__main__":
    main()
