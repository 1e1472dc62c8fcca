"""python -m training judge: what a policy would have brought, and whether it may be released."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from features.settings import FeatureSettings, Home, options
from training.offline.judge import Terms, Verdict, compare
from training.settings import JudgeSettings, TrainingError, picked

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("judge")
@click.option("--policy", required=True, type=FILE, help="YAML file of the policy to be judged")
@click.option("--against", type=FILE, help="YAML file of the one it would replace; else what ran")
@options(JudgeSettings)
@options(FeatureSettings)
@click.pass_context
def judge_command(
    context: click.Context, policy: Path, against: Path | None, **values: Any
) -> None:
    """Judges a policy by what another one has logged; exit status 1 if it is not to be released.

    What was decided must have been drained (python -m features drain), and explored: without
    exploration nothing is known of what was not offered.
    """
    verdict, old = judge(
        policy, against, picked(JudgeSettings, values), picked(FeatureSettings, values)
    )
    console = Console(highlight=False)
    console.print(table_of(verdict, old))
    for line in lines_of(verdict, old):
        console.print(line, soft_wrap=True)
    if not verdict.blessed:
        context.exit(1)


def judge(
    policy: Path, against: Path | None, settings: JudgeSettings, features: FeatureSettings
) -> tuple[Verdict, Verdict | None]:
    """The verdict on a policy, and on the one that it is compared with, if one is named.

    The reward is valued by the vocabulary and the weights of `against`, or else of the policy.
    """
    from features.decisions.outcomes import Attribution
    from features.decisions.reading import read_decisions
    from features.vocabulary import load_vocabulary
    from training.offline.replay import (
        drawn_places,
        expectations,
        policy_in,
        replay_of,
        replayable,
    )

    new, vocabulary = _declared(policy), load_vocabulary(features.vocabulary)
    old = _declared(against) if against else None
    home, now = Home(features.home), datetime.now(UTC)
    attribution = Attribution(
        since=now - timedelta(days=settings.days),
        now=now,
        window=timedelta(days=settings.window_days),
    )
    until = now - attribution.window
    read = read_decisions(home, since=attribution.since, until=until)
    decisions = [each for each in read if replayable(each)]
    declared = [each for each in (new, old) if each is not None]
    places = min([drawn_places(decisions), *(each.exploration.places for each in declared)])
    reward = _rewards(home, vocabulary, (old or new).weights, attribution, decisions)
    try:
        replay = replay_of(decisions, reward, places=places)
    except ValueError as error:
        raise TrainingError(
            f"no decision from {attribution.since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC "
            "can be replayed: was anything decided, and drained? What came of later ones is still "
            f"waited for: --window-days is {settings.window_days:g}"
        ) from error
    expected_NA, terms = expectations(replay), Terms(tolerance=settings.tolerance)
    replayed = [policy_in(replay, each, vocabulary) for each in declared]
    base = replayed[1] if old else None
    verdict = compare(
        replay.logged,
        {new.version: replayed[0]},
        expected_NA=expected_NA,
        terms=terms,
        against=base,
    )[new.version]
    if old is None or base is None:
        return verdict, None
    ran = compare(replay.logged, {old.version: base}, expected_NA=expected_NA, terms=terms)
    unknown = [f"{old.version}: {why}" for why in ran[old.version].unsupported]
    return replace(verdict, reasons=(*verdict.reasons, *unknown)), ran[old.version]


def _declared(path: Path) -> Any:
    """A policy file; raises TrainingError that names file, line, field and value."""
    from features.policy.declaration import PolicyError, parse_policy

    try:
        return parse_policy(path.read_bytes(), path)
    except PolicyError as error:
        raise TrainingError(str(error)) from error


def _rewards(
    home: Home, vocabulary: Any, weights: Any, attribution: Any, decisions: Sequence[Any]
) -> dict[tuple[str, int], float]:
    """Of each place that was shown: two-sided value, less attention."""
    from features.decisions.outcomes import outcomes, vocabulary_worths

    cost = {each.decision_id: each.attention for each in decisions}
    rows = outcomes(home, vocabulary_worths(vocabulary), attribution).to_pylist()
    return {
        (each["decision_id"], each["position"]): weights.customer * each["customer_value"]
        + weights.company * each["company_value"]
        - cost[each["decision_id"]]
        for each in rows
        if each["shown"] and each["decision_id"] in cost
    }


def table_of(verdict: Verdict, old: Verdict | None) -> Table:
    """By each estimator: both policies, and by how much the new one is above the old."""
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    table.caption = "two-sided value of a place, intervals over customers"
    table.caption_justify = "left"
    for name in ("", "policy", "value", "95 % interval"):
        table.add_column(name, justify="right" if name == "value" else "left", no_wrap=True)
    for name, value in verdict.values.items():
        other = old.values[name] if old else verdict.logging
        style = "bold" if name == verdict.decided_by else ""
        table.add_row(name, verdict.policy, *_cells(value), style=style)
        table.add_row("", old.policy if old else "what ran", *_cells(other), style=style)
        table.add_row("", "difference", *_cells(verdict.lifts[name], "+"), style=style)
    return table


def _cells(value: Any, sign: str = "") -> tuple[str, str]:
    return f"{value.value:{sign}.4f}", f"[{value.low:{sign}.4f}, {value.high:{sign}.4f}]"


def lines_of(verdict: Verdict, old: Verdict | None) -> list[str]:
    """How much the log speaks for it, and the verdict with its reasons."""
    told = []
    for each in (verdict, *([old] if old else [])):
        average = " ".join(_cells(each.mean_weight))
        told.append(
            f"{each.policy}: the log is worth {each.support.effective:,.0f} places, the largest "
            f"weight is {each.support.largest:.3g}, weights average {average}"
        )
    if verdict.blessed:
        return [*told, f"{verdict.policy} may be released: by {verdict.decided_by} it is no worse"]
    return [*told, f"{verdict.policy} is refused:", *(f"  {why}" for why in verdict.reasons)]
