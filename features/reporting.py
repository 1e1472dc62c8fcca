"""What an import, a simulation and a skew check print when they have ended."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from features.history.importing import Summary
from features.measures.skew import FeatureSkew
from features.simulation.simulate import Scenario, Simulated

REASONS_SHOWN = 10
LABEL, NUMBER = 22, 14  # widths


def print_import(summary: Summary, source: str, held: int) -> None:
    """Prints what became of each row; `held` interactions are in the history now."""
    _title(f"Imported {source}")
    _print(
        {
            "rows read": summary.read,
            "accepted": summary.accepted,
            "duplicate": summary.duplicate,
            "rejected": summary.rejected,
            "history holds now": held,
        }.items()
    )
    if summary.types:
        _title("In the rows that may enter")
        _print(_content(summary))
    if summary.reject_file:
        _print_rejects(summary)


def print_simulation(scenario: Scenario, done: Simulated) -> None:
    """Prints what was made up, and how fast."""
    _title("Simulated")
    first, last = f"{scenario.start:%Y-%m-%d}", f"{scenario.until:%Y-%m-%d}"
    _print({"customers": scenario.customers, "items": scenario.items}.items())
    _print({"days": scenario.days, "first day": first, "until": last}.items())
    _print({"interactions": done.written, "interactions a second": round(done.rate)}.items())
    _title("By type")
    _print(_descending(done.types))


def print_skew(found: Sequence[FeatureSkew], *, every: bool) -> None:
    """Prints the features that differ, the records in any case, or every one."""
    table = Table(box=None, pad_edge=False)
    table.add_column("feature", no_wrap=True)
    for title in ("compared", "equal", "largest difference", "share that differs", "PSI"):
        table.add_column(title, justify="right")
    for each in found:
        if every or each.equal < each.compared or each is found[0]:
            numbers = (f"{each.compared:,}", f"{each.equal:,}", f"{each.largest:.6g}")
            shares = (f"{each.share_differing:.2%}", f"{each.stability:.4f}")
            table.add_row(each.feature, *numbers, *shares)
    Console(highlight=False).print(table)
    differing = sum(each.equal < each.compared for each in found)
    _line(f"{differing} of {len(found)} features differ")
    if not found[0].compared:
        _line("No decision was logged in that time: see --log-share of python -m serving")


def _content(summary: Summary) -> Iterator[tuple[str, object]]:
    yield "customers", len(summary.customers)
    yield "items", summary.items
    yield "items new or changed", summary.items_written
    yield "first", f"{summary.first_time:%Y-%m-%d %H:%M}"
    yield "last", f"{summary.last_time:%Y-%m-%d %H:%M}"
    yield from _descending(summary.types)


def _print_rejects(summary: Summary) -> None:
    _title("Rejected because")
    for (name, rule), count in summary.reasons.most_common(REASONS_SHOWN):
        _line(f"{count:>{NUMBER},}  {name}: {rule}"[:100])
    if summary.items_rejected:
        _line(f"{summary.items_rejected:>{NUMBER},}  items, of all these")
    _line(f"Each of them, with row and value, stands in {summary.reject_file}")


def _descending(counts: Mapping[str, int]) -> Iterable[tuple[str, int]]:
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))


def _title(text: str) -> None:
    Console(highlight=False).print(f"\n[bold]{text}[/]")


def _print(rows: Iterable[tuple[str, object]]) -> None:
    for label, value in rows:
        shown = f"{value:,}" if isinstance(value, int) else str(value)
        _line(f"{label:{LABEL}}{shown:>{NUMBER + 2}}")


def _line(text: str) -> None:
    Console(highlight=False, soft_wrap=True).print(f"  {text}", markup=False)
