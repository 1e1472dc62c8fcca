"""Commands about what stands beside the champion: canary, shadow, promote, withdraw, analyze."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import click
from rich.console import Console

from features.rollout import ALIASES, CANARY, SHADOW
from features.settings import FeatureSettings, Home, options
from training.settings import AnalysisSettings, picked

SHARES = {CANARY: 0.05, SHADOW: 0.1}


def _setting(alias: str, of: str) -> Callable[..., Any]:
    return click.option("--share", default=SHARES[alias], show_default=True, help=f"Of the {of}.")


@click.command(CANARY)
@click.argument("version")
@_setting(CANARY, "customers")
@options(FeatureSettings)
def canary_command(version: str, share: float, **values: Any) -> None:
    """Lets VERSION decide for a share of the customers; servers follow by themselves.

    Where it fails, takes longer or is worth less than the champion, it is withdrawn.
    """
    _begin(CANARY, version, share, values)
    click.echo(f"Model {version} is the canary from now on, for {share:.3g} of the customers.")


@click.command(SHADOW)
@click.argument("version")
@_setting(SHADOW, "decisions")
@options(FeatureSettings)
def shadow_command(version: str, share: float, **values: Any) -> None:
    """Lets VERSION be asked as well in a share of the decisions, and be shown to nobody."""
    _begin(SHADOW, version, share, values)
    click.echo(f"Model {version} is the shadow from now on, in {share:.3g} of the decisions.")


def _begin(alias: str, version: str, share: float, values: dict[str, Any]) -> None:
    from features.vocabulary import load_vocabulary
    from training.rollout.changing import begin

    features = FeatureSettings(**values)
    vocabulary, keys = load_vocabulary(features.vocabulary), features.trusted_keys
    begin(_publisher(features), vocabulary, alias, version, share, trusted_keys=keys)


@click.command("promote")
@options(FeatureSettings)
def promote_command(**values: Any) -> None:
    """Crowns the canary; servers follow by themselves."""
    from features.vocabulary import load_vocabulary
    from training.rollout.changing import promote

    features = FeatureSettings(**values)
    vocabulary, keys = load_vocabulary(features.vocabulary), features.trusted_keys
    change = promote(_publisher(features), vocabulary, trusted_keys=keys)
    before = f"; it was model {change.before}" if change.before else ""
    click.echo(f"Model {change.now}, the canary, is the champion from now on{before}.")


@click.command("withdraw")
@click.argument("alias", type=click.Choice(ALIASES), default=CANARY)
@click.option("--reason", default="by hand", show_default=True, help="Noted with the version.")
@options(FeatureSettings)
def withdraw_command(alias: str, reason: str, **values: Any) -> None:
    """Ends the canary, or the shadow; servers follow by themselves."""
    from training.rollout.changing import withdraw

    version = withdraw(_publisher(FeatureSettings(**values)), alias, f"operator: {reason}")
    click.echo(f"Model {version} is the {alias} no more.")


@click.command("analyze")
@options(AnalysisSettings)
@options(FeatureSettings)
def analyze_command(**values: Any) -> None:
    """Says what the canary's customers are worth beside the champion's; withdraws what is worse.

    From what has been drained (python -m features drain): decisions, and what followed them.
    """
    features, settings = picked(FeatureSettings, values), picked(AnalysisSettings, values)
    if not look(features, settings, Console(highlight=False)):
        click.echo("There is no canary.")


def look(features: FeatureSettings, settings: AnalysisSettings, console: Console) -> bool:
    """Analyses the canary, and does what follows; whether there is one."""
    from features.vocabulary import load_vocabulary
    from training.rollout.analysis import Verdict, analyse
    from training.rollout.changing import current, promote, withdraw

    publisher, vocabulary = _publisher(features), load_vocabulary(features.vocabulary)
    canary = current(publisher, CANARY)
    if canary is None:
        return False
    since, window = _since(publisher, canary.began_time), timedelta(days=settings.canary_days)
    name = f"Model {canary.version}, the canary for {canary.share:.3g} of the customers"
    analysis = analyse(Home(features.home), vocabulary, canary, since=since, window=window)
    if analysis is None:
        told = f"no decision since {since:%Y-%m-%d %H:%M} has been drained yet"
        console.print(f"{name}: {told}.", soft_wrap=True)
        return True
    verdict = analysis.verdict(tolerated=settings.canary_loss)
    console.print(f"{name}, is worth {analysis.text}: {verdict.value}.", soft_wrap=True)
    if verdict is Verdict.WORSE:
        withdraw(publisher, CANARY, str(analysis.fault))
        console.print("It is withdrawn: the champion answers all from now on.")
    elif verdict is Verdict.GOOD and settings.promote:
        promote(publisher, vocabulary, trusted_keys=features.trusted_keys)
        console.print("It is promoted: it is the champion from now on.")
    elif verdict is Verdict.GOOD:
        console.print("It may be promoted: python -m training promote")
    return True


def _since(publisher: Any, began_time: str) -> datetime:
    """From when on this canary has stood beside this champion."""
    from training.publishing import CROWNED

    crowned = publisher.tags(publisher.champion().version).get(CROWNED, began_time)
    return max(datetime.fromisoformat(began_time), datetime.fromisoformat(crowned))


def _publisher(features: FeatureSettings) -> Any:
    from training.publishing import Publisher

    return Publisher(Home(features.home, features.tracking_url, features.tenant))
