"""The plots of an experiment: how far arms lie apart, and how that has become surer."""

import math
from collections.abc import Iterator, Sequence

import matplotlib

from training.experiments.comparing import BOTH, Lift
from training.experiments.confidence import sure_difference
from training.experiments.reading import STEPS, Observed
from training.judging.intervals import Interval
from training.report.plots import STYLE, framed, legend, svg

NEUTRAL = "0.6"


def lift_plot(rows: Sequence[Sequence[Lift]], base: str) -> str:
    """A row for each arm; of each side the lift, within its bounds."""
    with matplotlib.rc_context(STYLE):
        figure, axes = framed(f"Above {base}", "value a customer", "")
        axes.axvline(0, color=NEUTRAL, linewidth=1, linestyle="--")
        for at, lifts in enumerate(zip(*rows, strict=True)):
            known = [(row, each.interval) for row, each in enumerate(lifts) if _bounded(each)]
            if known:
                places = [row + (at - 1) * 0.2 for row, _ in known]
                means = [each.mean for _, each in known]
                errors = [[each.mean - each.low for _, each in known]] * 2
                label = lifts[0].side
                axes.errorbar(means, places, xerr=errors, fmt="o", markersize=4, label=label)
        axes.set_yticks(range(len(rows)), [row[0].arm for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        if axes.get_legend_handles_labels()[0]:
            legend(axes, len(rows[0]))
        return svg(figure)


def course_plot(observed: Observed, base: str, arms: Sequence[str]) -> str:
    """How the lift in both sides' value has developed, customer by customer."""
    with matplotlib.rc_context(STYLE):
        figure, axes = framed(f"Above {base}, as customers came", "customers", "value of both")
        axes.axhline(0, color=NEUTRAL, linewidth=1, linestyle="--")
        lines = 0
        for arm in arms:
            known = [
                (count, each)
                for count, each in _course(observed, arm, base)
                if math.isfinite(each.low)
            ]
            if known:
                lines += 1
                counts = [count for count, _ in known]
                (line,) = axes.plot(counts, [each.mean for _, each in known], label=arm)
                low, high = [each.low for _, each in known], [each.high for _, each in known]
                axes.fill_between(counts, low, high, alpha=0.15, color=line.get_color())
        legend(axes, lines)
        return svg(figure)


def _bounded(each: Lift) -> bool:
    return math.isfinite(each.interval.low)


def _course(observed: Observed, arm: str, base: str) -> Iterator[tuple[int, Interval]]:
    for step in range(1, STEPS + 1):
        one, other = (observed.moments(each, BOTH, until=step) for each in (arm, base))
        every = sum(observed.customers(each, until=step) for each in observed.count_by_arm)
        if one.count and other.count:
            yield every, sure_difference(one, other)
