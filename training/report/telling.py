"""From a run and how its contenders stand to the page about it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from training.gate import Reason
from training.judging.judging import Standing
from training.preparing import Prepared
from training.report.page import Report, render

FILE = "report.html"  # among the artifacts of a run
LOSSES = tuple(
    f"{part}_{head}" for part in ("training", "validation") for head in ("intent", "item")
)


def report_on(
    run: Prepared,
    standings: Sequence[Standing],
    title: str,
    *,
    reasons: Sequence[Reason] = (),
    curves: Mapping[str, Mapping[int, float]] | None = None,
) -> str:
    """The page; the last standing is who is judged."""
    losses = {name: curve for name, curve in (curves or {}).items() if name in LOSSES}
    report = Report(
        title=title,
        snapshot=run.snapshot,
        contest=run.contest,
        standings=standings,
        types=run.vocabulary.predicted,
        reasons=reasons,
        curves=losses,
        params=asdict(run.settings) if curves is not None else {},
    )
    return render(report)
