"""The commands that keep data no longer than it may be: retain, erase and export."""

import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from features.decisions.contract import open_stream
from features.decisions.outcomes import vocabulary_worths
from features.decisions.privacy import retain_decisions
from features.log.contract import open_log
from features.privacy.consent import consent_of
from features.privacy.customer_decisions import Kept, read_decisions_of
from features.privacy.customer_history import read_customer
from features.privacy.erasure import Erasures
from features.privacy.export import Online, export_lines
from features.privacy.forgetting import (
    NEXT_TRAINING,
    ONLINE,
    SWEEP_COMMAND,
    Receipt,
    erasure_tick,
    sweep,
)
from features.privacy.retention import Retention, retain_offline
from features.progress import counting
from features.record import moment, tick
from features.settings import FeatureSettings, Home, options

if TYPE_CHECKING:
    from features.live import LiveFeatures

PLACE, NUMBER = 38, 14  # widths
TOMBSTONES_STAY = timedelta(minutes=2)  # on-line, where they name whom they are of


@click.command("retain")
@click.option(
    "--now",
    type=click.DateTime(["%Y-%m-%d"]),
    help="day (UTC) from which ages are counted; today if absent",
)
@options(FeatureSettings)
def retain_command(now: datetime | None, **settings: Any) -> None:
    """Removes what is older than retention_days, or --decision-days: logs, history and on-line."""
    from features.live import LiveFeatures  # feast takes seconds to import

    chosen = FeatureSettings(**settings)
    removed: Counter[str] = Counter()
    with LiveFeatures(chosen) as live:
        today = now.replace(tzinfo=UTC) if now else datetime.now(UTC)
        retention = Retention(today, live.vocabulary)
        with counting("retaining") as progress, open_log(chosen) as log:
            home, since = Home(chosen.home), today - timedelta(days=chosen.decision_days)
            removed.update(retain_offline(home, log, retention, progress=progress))
            with open_stream(chosen) as decisions:
                removed["decisions"] = retain_decisions(home, decisions, since)
            removed[ONLINE] = live.online.drop_older(retention.aging, progress=progress)
    click.echo(f"Removed what was past its time at {retention.now:%Y-%m-%d %H:%M} UTC")
    _print_places(removed)


@click.command("erase")
@click.argument("customer", required=False)
@click.option("--pending", is_flag=True, help="finish what EraseCustomer began, for all customers")
@click.option("--json", "as_json", is_flag=True, help="the receipt as JSON")
@options(FeatureSettings)
def erase_command(customer: str | None, pending: bool, as_json: bool, **settings: Any) -> None:
    """Erases a CUSTOMER (an anonymous one: anonymous:ID) everywhere, and prints a receipt."""
    from features.live import LiveFeatures

    if bool(customer) == pending:
        raise click.UsageError("give either a CUSTOMER or --pending")
    chosen = FeatureSettings(**settings)
    home, now = Home(chosen.home), datetime.now(UTC)
    with LiveFeatures(chosen) as live, open_log(chosen) as log:
        receipt, keys = Receipt(now, remaining=[NEXT_TRAINING]), list[str]()
        if customer:
            keys = read_customer(log, home.history, customer).keys
            _erase_online(live, keys, receipt)
        erasures = Erasures(log.erasures())
        with counting("erasing") as progress, open_stream(chosen) as decisions:
            swept = erasures.of(keys) if customer else erasures
            sweep(
                *(home, log, swept, receipt),
                decisions=decisions,
                customer_keys=keys,
                progress=progress,
            )
        # By then every process has heard of the tombstones in the log.
        if left := live.online.drop_tombstones(tick(now - TOMBSTONES_STAY)):
            receipt.remaining.append(
                f"{left} online tombstones with ids: python -m {SWEEP_COMMAND} again in two minutes"
            )
    if as_json:
        click.echo(json.dumps(_as_json(receipt)))
    else:
        _print_receipt(receipt)


@click.command("export")
@click.argument("customer")
@options(FeatureSettings)
def export_command(customer: str, **settings: Any) -> None:
    """Writes all that is held of a CUSTOMER (an anonymous one: anonymous:ID) as lines of JSON."""
    from features.live import LiveFeatures

    chosen = FeatureSettings(**settings)
    home, now = Home(chosen.home), datetime.now(UTC)
    with LiveFeatures(chosen) as live, open_log(chosen) as log, open_stream(chosen) as stream:
        erasures = Erasures(log.erasures())
        history = read_customer(log, home.history, customer, erasures=erasures)
        (known,) = live.online.read_known([customer], ledgers=True)
        consent = consent_of(known.consent, live.vocabulary)
        online = Online(tuple(live.held(customer)), consent, known.attention)
        kept, worths = Kept(home, stream, erasures), vocabulary_worths(live.vocabulary)
        decisions = read_decisions_of(history, kept, worths, now=now)
        for line in export_lines(history, online, decisions, now=now):
            click.echo(line)


def _erase_online(live: "LiveFeatures", customer_keys: list[str], receipt: Receipt) -> None:
    held = [known.history for known in live.online.read_known(customer_keys)]
    erased = erasure_tick(receipt.erasure_time, b"".join(held))
    live.note_erasure(customer_keys, erased)
    receipt.removed[ONLINE] = live.erase(customer_keys, erased)
    receipt.erasure_time, receipt.device_count = moment(erased), len(customer_keys) - 1


def _as_json(receipt: Receipt) -> Mapping[str, Any]:
    return {
        "erasure_time": receipt.erasure_time.isoformat(),
        "anonymous_id_count": receipt.device_count,
        "removed": dict(receipt.removed),
        "remaining": receipt.remaining,
    }


def _print_receipt(receipt: Receipt) -> None:
    click.echo(f"Erased what was before {receipt.erasure_time.isoformat()}")
    click.echo(f"  {'anonymous ids that went along':{PLACE}}{receipt.device_count:>{NUMBER},}")
    _print_places(receipt.removed)
    for each in receipt.remaining:
        click.echo(f"  remains  {each}")


def _print_places(removed: Mapping[str, int]) -> None:
    for place, count in removed.items():
        click.echo(f"  {place:{PLACE}}{count:>{NUMBER},}")
