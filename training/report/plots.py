"""The plots of a report: SVG that stands within the page, its text in the page's own font."""

import re
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from training.judging.calibration import Reliability
from training.judging.judging import Standing

SIZE = (5.2, 3.6)  # inches
FURTHEST = 1000  # places
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
}


def reliability_plot(reliabilities: Mapping[str, Reliability], title: str) -> str:
    """What was said against what happened; on the diagonal both are the same."""
    with matplotlib.rc_context(STYLE):
        figure, axes = framed(title, "probability said", "share that came true")
        most = max(float(each.said_B.max()) for each in reliabilities.values())
        most = max(most, *(float(each.happened_B.max()) for each in reliabilities.values()))
        axes.plot([0, most], [0, most], color="0.6", linewidth=1, linestyle="--")
        for name, each in reliabilities.items():
            axes.plot(each.said_B, each.happened_B, marker="o", markersize=3, label=name)
        legend(axes, len(reliabilities))
        return svg(figure)


def ranks_plot(standings: Sequence[Standing]) -> str:
    """Which share of right items stands within so many places."""
    with matplotlib.rc_context(STYLE):
        figure, axes = framed("Ranks of the right items", "places", "share within them")
        places = np.unique(np.geomspace(1, FURTHEST, 60).astype(int))
        for each in standings:
            ordered = np.sort(each.rank_N)
            shares = np.searchsorted(ordered, places, side="right") / len(ordered)
            axes.plot(places, shares, label=each.name, linewidth=1.3)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.set_ylim(0, None)
        legend(axes, len(standings))
        return svg(figure)


def learning_plot(curves: Mapping[str, Mapping[int, float]]) -> str:
    """Losses by epoch, in training and validation, those of each head beside the others."""
    heads = sorted({name.split("_", 1)[-1] for name in curves})
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=SIZE, layout="constrained")
        for axes, head in zip(figure.subplots(1, len(heads), squeeze=False)[0], heads, strict=True):
            axes.set_title(f"Learning: {head}", fontsize=10, loc="left")
            axes.set_xlabel("epoch")
            for name, by_epoch in sorted(curves.items()):
                if name.split("_", 1)[-1] == head:
                    epochs = sorted(by_epoch)
                    values = [by_epoch[each] for each in epochs]
                    axes.plot(epochs, values, marker="o", markersize=3, label=name.split("_")[0])
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            legend(axes, 2)
        return svg(figure)


def framed(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    """An empty plot; within STYLE."""
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure, axes


def legend(axes: Axes, lines: int) -> None:
    """What its lines are, where there are several."""
    if lines > 1:
        axes.legend(fontsize=8)


def svg(figure: Figure) -> str:
    """The element alone; names within it are unique on the page."""
    title = figure.axes[0].get_title(loc="left")
    with matplotlib.rc_context({"svg.hashsalt": title}):
        written = StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    element = re.sub(r"^.*?(?=<svg)", "", written.getvalue(), count=1, flags=re.DOTALL)
    prefix = re.sub(r"\W+", "-", title.lower())
    return re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{prefix}-", element)
