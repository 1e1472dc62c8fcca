"""The report of a run: one HTML page that needs nothing beside it, and names no customer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import jinja2
import numpy as np
from markupsafe import Markup

from training.data.split import Snapshot
from training.gate import Reason
from training.judging.calibration import Reliability
from training.judging.evaluation import DEPTHS
from training.judging.judging import Contest, Standing
from training.judging.slices import NEW, SELDOM, SHORT
from training.report.findings import FEWEST, contenders, slice_rows
from training.report.plots import learning_plot, ranks_plot, reliability_plot

TEMPLATE = "page.html.jinja"
SILENCE = "silence"
MOST_CURVES = 6  # in one plot: the types that came most often


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What there is to tell; the last standing is who is judged."""

    title: str
    snapshot: Snapshot
    contest: Contest
    standings: Sequence[Standing]
    types: Sequence[str]  # the predicted ones
    reasons: Sequence[Reason] = ()
    curves: Mapping[str, Mapping[int, float]] = field(default_factory=dict)  # figure, epoch
    params: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TypeRow:
    """How well it was foreseen that one type comes."""

    name: str
    count: int  # moments at which it came
    log_loss: float
    auc: float | None
    reliability: Reliability

    @property
    def bins(self) -> list[tuple[float, float]]:
        """What was said, and what happened."""
        each = self.reliability
        return list(zip(each.said_B.tolist(), each.happened_B.tolist(), strict=True))


def render(report: Report) -> str:
    """The page."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("training.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    judged = report.standings[-1]
    types = type_rows(judged, report)
    return environment.get_template(TEMPLATE).render(
        **{name: getattr(report, name) for name in ("title", "snapshot", "contest", "params")},
        reasons=report.reasons,
        judged=judged,
        contenders=contenders(report.standings, report.contest),
        rows=slice_rows(report.standings, report.contest),
        types=types,
        plots=_plots(report, judged, types),
        depths=DEPTHS,
        **{"new": NEW, "short": SHORT, "seldom": SELDOM, "fewest": FEWEST},
    )


def type_rows(judged: Standing, report: Report) -> list[TypeRow]:
    """The types that came, the most frequent first."""
    intent = judged.intent
    if intent is None:
        return []
    names, count_U = [*report.types, SILENCE], np.bincount(report.contest.moments.type_N)
    rows = [
        TypeRow(
            names[each],
            int(count_U[each]),
            intent.log_loss_by_type[each],
            intent.auc_by_type.get(each),
            reliability,
        )
        for each, reliability in intent.reliability_by_type.items()
    ]
    return sorted(rows, key=lambda row: -row.count)


def _plots(report: Report, judged: Standing, types: Sequence[TypeRow]) -> dict[str, Markup]:
    plots = {"ranks": ranks_plot(report.standings), "learning": "", "intents": "", "likely": ""}
    losses = {name: curve for name, curve in report.curves.items() if len(curve) > 1}
    if losses:
        plots["learning"] = learning_plot(losses)
    if types:
        shown = {each.name: each.reliability for each in types[:MOST_CURVES]}
        plots["intents"] = reliability_plot(shown, "Which type comes")
    if judged.likely and judged.offered:
        shown = {"the best item": judged.likely, "the ten best": judged.offered}
        plots["likely"] = reliability_plot(shown, "Which item comes")
    return {name: Markup(svg) for name, svg in plots.items()}  # drawn here
