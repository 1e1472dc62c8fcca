"""python -m training: trains, judges and lists models."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from features.settings import FeatureSettings, options
from features.vocabulary import VocabularyError
from training.commands import compare_command, list_command, rollback_command, show_command
from training.experiments.command import report_command
from training.offline.command import judge_command
from training.rollout.command import (
    analyze_command,
    canary_command,
    promote_command,
    shadow_command,
    withdraw_command,
)
from training.settings import RolloutSettings, TrainingError, TrainingSettings, picked
from training.tuning.command import tune_command
from training.watching.command import watch_command

REPORT = click.option(
    "--report",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="HTML file to write a report to",
)


COMMANDS = [
    list_command,
    show_command,
    compare_command,
    rollback_command,
    canary_command,
    shadow_command,
    analyze_command,
    promote_command,
    withdraw_command,
    watch_command,
    tune_command,
    report_command,
    judge_command,
]


@click.group(commands=COMMANDS)
def main() -> None:
    """Learns what comes next from the history, and publishes models that are better."""
    # Nothing leaves the machine, and nothing but our own lines reaches the terminal.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")  # 2 s late otherwise
    os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "1")  # so much may be lost in a kill
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # Ctrl-C is for us
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads leave the cores alone
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # a server gone: seconds
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


@main.command("train")
@options(FeatureSettings)
@options(TrainingSettings)
@options(RolloutSettings)
@REPORT
def train_command(report: Path | None, **values: Any) -> None:
    """Trains on the history; the model becomes champion if it beats the one that serves."""
    from training import running  # seconds of imports: not for --help
    from training.console import show_standings, shown
    from training.sealing import check_signing

    console = Console(highlight=False)
    features, settings = _settings(values)
    check_signing(settings, features.trusted_keys)
    with running.prepared(features, settings, console.print) as run:
        snapshot, items = run.snapshot, len(run.plan.items.item_ids)
        console.print(
            f"{snapshot.rows:,} interactions up to {snapshot.newest_time:%Y-%m-%d %H:%M}, "
            f"{items:,} items; judged on those from {snapshot.test_time:%Y-%m-%d %H:%M} on",
            soft_wrap=True,
        )
        share = picked(RolloutSettings, values).canary
        outcome = running.train(run, partial(shown, console), console.print, canary=share)
    show_standings(console, outcome.standings, outcome.contest)
    if report:
        report.write_text(outcome.report)
    console.print(f"\n{_verdict(outcome)}", soft_wrap=True)


def _verdict(outcome: Any) -> str:
    *others, model = outcome.standings
    if outcome.crowned:
        better = [each.name for each in others if each.ranking.ndcg >= model.ranking.ndcg]
        warning = f" Beware: {', '.join(better)} did better here." if better else ""
        place = "and the champion from now on."
        if outcome.share:
            place = f"and the canary from now on, for {outcome.share:.3g} of the customers."
        ending = f"{place}{warning}"
    else:
        ending = "but not crowned: whatever serves goes on serving."
    marks = {True: "yes", False: "no"}
    reasons = [
        f"{marks[each.met]:>4}  {each.rule}: {each.text}" for each in outcome.verdict.reasons
    ]
    return "\n".join([f"Model {outcome.version} is registered, {ending}", *reasons])


@main.command("evaluate")
@options(FeatureSettings)
@options(TrainingSettings)
@REPORT
def evaluate_command(report: Path | None, **values: Any) -> None:
    """Judges the champion and baselines on the newest part of the history."""
    from training import running
    from training.console import show_standings
    from training.report.telling import report_on

    console = Console(highlight=False)
    with running.prepared(*_settings(values)) as run:
        outcome = running.evaluate(run, console.print)
        show_standings(console, outcome.standings, outcome.contest)
        if report:
            report.write_text(report_on(run, outcome.standings, "Evaluation"))


def _settings(values: dict[str, Any]) -> tuple[FeatureSettings, TrainingSettings]:
    return picked(FeatureSettings, values), picked(TrainingSettings, values)


def _expected() -> tuple[type[Exception], ...]:
    """What is told in a line; asked only when something is raised, for MLflow takes a second."""
    from mlflow.exceptions import MlflowException

    from features.declared import DeclarationError

    return TrainingError, VocabularyError, DeclarationError, OSError, MlflowException


if __name__ == "__main__":
    try:
        main(prog_name="python -m training")
    except _expected() as error:
        raise SystemExit(f"Error: {error}") from error
