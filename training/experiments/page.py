"""The page about an experiment: one HTML file with its plots, which names no customer."""

import jinja2
from markupsafe import Markup

from training.experiments.comparing import (
    arm_rows,
    compared,
    contact_channels,
    contact_rate,
    lift,
    slices,
)
from training.experiments.plots import course_plot, lift_plot
from training.experiments.queries import CHANNEL, TYPE
from training.experiments.reading import SIDES, Observed
from training.experiments.telling import introduction, sure

TEMPLATE = "experiments/page.html.jinja"


def render(observed: Observed) -> str:
    """The page."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("training", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    rows = arm_rows(observed)
    channels = contact_channels(observed)
    return environment.get_template(TEMPLATE).render(
        title=f"Experiment {observed.name}",
        introduction=list(introduction(observed)),
        sides=SIDES,
        rows=rows,
        channels=channels,
        rates=[[contact_rate(observed, row.arm, each) for each in ("", *channels)] for row in rows],
        comparisons=[_comparison(observed, *each) for each in compared(observed)],
        sure=sure,
    )


def _comparison(observed: Observed, base: str, arms: list[str]) -> dict[str, object]:
    lifts = [[lift(observed, arm, base, side) for side in SIDES] for arm in arms]
    return {
        "base": base,
        "arms": arms,
        "lifts": lifts,
        "slices": {kind: slices(observed, base, arms, kind) for kind in (CHANNEL, TYPE)},
        "plots": [
            Markup(each)  # drawn here
            for each in (lift_plot(lifts, base), course_plot(observed, base, arms))
        ],
    }
