"""One customer's whole history: what the log and the Parquet parts hold, each interaction once."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from features.history.partitions import read_parts, scan_of
from features.identity import aliases_among
from features.interaction import ANONYMOUS, Interaction
from features.log.contract import Log
from features.privacy.erasure import NO_ERASURES, Erasures
from features.table_check import interaction_of


@dataclass(frozen=True, slots=True)
class CustomerHistory:
    """Everything of one customer, and the devices it was seen on."""

    customer_key: str
    anonymous_ids: tuple[str, ...]  # that belong to this customer and to no other
    interactions: tuple[Interaction, ...]  # in time order

    @property
    def keys(self) -> list[str]:
        """The customer's key, and those of its devices."""
        return [self.customer_key, *(ANONYMOUS + each for each in self.anonymous_ids)]


def read_customer(
    log: Log, root: Path, customer_key: str, *, erasures: Erasures = NO_ERASURES
) -> CustomerHistory:
    """A customer's history. An anonymous customer's holds nothing of whom it turned out to be.

    What the erasures cover is left out: it may not be swept yet.
    """
    if customer_key.startswith(ANONYMOUS):
        device = customer_key.removeprefix(ANONYMOUS)
        rows = _each_once(_naming(log, root, None, [device]), erasures)
        own = tuple(each for each in rows if not each.customer_id)
        return CustomerHistory(customer_key, (), own)
    named = _each_once(_naming(log, root, customer_key, ()), erasures)
    devices = sorted({each.anonymous_id for each in named if each.anonymous_id})
    rows = _each_once(_naming(log, root, customer_key, devices), erasures)
    owners = aliases_among(rows)
    own_devices = tuple(
        each for each in devices if owners.get(ANONYMOUS + each, customer_key) == customer_key
    )
    own = tuple(each for each in rows if _is_of(each, customer_key, own_devices))
    return CustomerHistory(customer_key, own_devices, own)


def _is_of(each: Interaction, customer_id: str, devices: Collection[str]) -> bool:
    if each.customer_id:
        return each.customer_id == customer_id
    return each.anonymous_id in devices


def _naming(
    log: Log, root: Path, customer_id: str | None, anonymous_ids: Collection[str]
) -> list[Interaction]:
    rows = read_parts(root, lambda parts: _rows_naming(parts, customer_id, anonymous_ids))
    logged = log.interactions_of(customer_id, anonymous_ids)
    return logged + [interaction_of(row) for row in rows]


def _rows_naming(
    parts: list[Path], customer_id: str | None, anonymous_ids: Collection[str]
) -> list[dict[str, Any]]:
    if not parts:
        return []
    with duckdb.connect() as database:
        rows = database.sql(
            f"SELECT * FROM {scan_of(parts)} "
            "WHERE customer_id = ? OR anonymous_id IN (SELECT unnest(?::VARCHAR[]))",
            params=[customer_id, list(anonymous_ids)],
        )
        return rows.to_arrow_table().to_pylist()


def _each_once(found: Iterable[Interaction], erasures: Erasures) -> list[Interaction]:
    """In time order; what stands in the log and in the history is the same."""
    kept = (now for each in found if (now := erasures.kept(each)) is not None)
    distinct = {(each.source, each.interaction_id): each for each in kept}
    return sorted(distinct.values(), key=lambda each: (each.event_time, each.interaction_id))
