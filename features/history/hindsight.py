"""Hindsight: which records of a customer were known at a moment of the past, and which not.

The truth is the history and the log. An interaction was known if it had been accepted by then,
whenever it happened: what arrived late was not. Of what is older than the log's entries, as after
an import, all was known. Devices that were joined to a customer count from then on.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from features.history.partitions import CUSTOMER_KEY, is_empty, read_parts, scan_of
from features.identity import IDENTIFY, aliases_in
from features.interaction import ANONYMOUS, SCHEMA, Interaction
from features.log.contract import Entry, Log
from features.record import RECORD_BYTES, TICKS_PER_SECOND, pack, pack_table
from features.settings import FeatureSettings, Home
from features.vocabulary import Vocabulary

ENTRIES_A_READ = 10_000
ALWAYS = 0  # the accept tick of what no recent entry of the log tells about
GRACE_S = 1.0


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose records, when, and what was seen then."""

    customer_key: str
    tick: int
    behind_s: float  # how far reads were behind the log
    seen: bytes


@dataclass(slots=True)
class Hindsight:
    """Records by customer, each with the tick at which it was accepted."""

    max_records: int
    grace_s: float
    joins: Mapping[str, tuple[str, int]]  # of anonymous keys: to whom, and since which tick
    accepted: dict[str, dict[bytes, int]] = field(default_factory=lambda: defaultdict(dict))

    def records(self, asked: Asked) -> bytes:
        """The newest records that were known then, oldest first.

        Of what was accepted within the grace around that moment, or waited to be applied, nobody
        can tell whether it was known: it was, if it was seen.
        """
        owner, joined_tick = self.joins.get(asked.customer_key, (asked.customer_key, ALWAYS))
        key = owner if joined_tick <= asked.tick else asked.customer_key
        grace = int(self.grace_s * TICKS_PER_SECOND)
        surely = asked.tick - grace - int(asked.behind_s * TICKS_PER_SECOND)
        starts = range(0, len(asked.seen), RECORD_BYTES)
        seen = {asked.seen[start : start + RECORD_BYTES] for start in starts}
        known = [
            record
            for record, each in self.accepted.get(key, {}).items()
            if each <= surely or (each <= asked.tick + grace and record in seen)
        ]
        return b"".join(sorted(known)[-self.max_records :])


def look_back(
    settings: FeatureSettings,
    log: Log,
    vocabulary: Vocabulary,
    asked: Collection[Asked],
    *,
    grace_s: float = GRACE_S,
) -> Hindsight:
    """What there is to know of the customers that are asked about."""
    if not asked:
        return Hindsight(settings.max_records, grace_s, {})
    earliest = min(each.tick - int(each.behind_s * TICKS_PER_SECOND) for each in asked)
    entries = list(_recent(log, earliest - int(grace_s * TICKS_PER_SECOND)))
    root = Home(settings.home).history
    joins = _joins(root, entries)
    hindsight = Hindsight(settings.max_records, grace_s, joins)
    keys = {each.customer_key for each in asked}
    keys |= {owner for alias, (owner, _) in joins.items() if alias in keys}
    devices = {alias for alias, (owner, _) in joins.items() if owner in keys}
    # Of an interaction that the log has twice the first counts.
    accepted = {_name(each.interaction): each.accept_tick for each in reversed(entries)}
    for each, record in _rows_of(root, keys | devices, vocabulary):
        tick = accepted.get((each["source"], each["interaction_id"]), ALWAYS)
        _add(hindsight, keys, each["customer_key"], record, tick)
    for entry in entries:
        record = pack(entry.interaction, vocabulary)
        _add(hindsight, keys, entry.interaction.customer_key, record, entry.accept_tick)
    return hindsight


def _name(each: Interaction) -> tuple[str, str]:
    return each.source, each.interaction_id


def _rows_of(
    root: Path, keys: Collection[str], vocabulary: Vocabulary
) -> Iterator[tuple[dict[str, str], bytes]]:
    """Source, interaction id and customer key of what the history holds of customers; packed."""
    if is_empty(root):
        return
    query = f"SELECT *, {CUSTOMER_KEY} AS customer_key FROM {{}}"
    wanted = "SELECT * FROM ({}) SEMI JOIN wanted USING (customer_key)"
    with duckdb.connect() as database:
        database.register("wanted", pa.table({"customer_key": sorted(keys)}))
        rows = read_parts(
            root,
            lambda found: database.sql(
                wanted.format(query.format(scan_of(found)))
            ).to_arrow_table(),
        )
    rows = rows.filter(pc.is_in(rows["type"], pa.array(sorted(vocabulary.types))))
    packed = pack_table(rows.select(SCHEMA.names), vocabulary)
    names = rows.select(["source", "interaction_id", "customer_key"]).to_pylist()
    for each, record in zip(names, packed, strict=True):
        yield each, record.tobytes()


def _add(
    hindsight: Hindsight, keys: Collection[str], key: str, record: bytes, accept_tick: int
) -> None:
    if key in keys:
        hindsight.accepted[key].setdefault(record, accept_tick)
    if key in hindsight.joins:
        owner, joined_tick = hindsight.joins[key]
        if owner in keys:
            hindsight.accepted[owner].setdefault(record, max(accept_tick, joined_tick))


def _recent(log: Log, since_tick: int) -> Iterator[Entry]:
    """The entries accepted since a tick, and those that the history may not have yet."""
    position = min(_position_at(log, since_tick), log.drained_position())
    while entries := log.read(after=position, limit=ENTRIES_A_READ):
        yield from entries
        position = entries[-1].position


def _position_at(log: Log, tick: int) -> int:
    """A position behind which everything stands that was accepted since a tick: by bisection."""
    low, high = 0, log.last_position()
    while low < high:
        middle = (low + high) // 2
        found = log.read(after=middle, limit=1)
        if found and found[0].accept_tick < tick:
            low = found[0].position
        else:
            high = middle
    return low


def _joins(root: Path, entries: Sequence[Entry]) -> dict[str, tuple[str, int]]:
    """For each anonymous key that is joined to a customer: to whom, and since when."""
    known = aliases_in(root)
    owners = dict(zip(known["alias"].to_pylist(), known["customer_key"].to_pylist(), strict=True))
    since: dict[str, int] = {}
    for entry in entries:
        each = entry.interaction
        if each.type == IDENTIFY and each.customer_id and each.anonymous_id:
            alias = f"{ANONYMOUS}{each.anonymous_id}"
            if owners.setdefault(alias, each.customer_id) == each.customer_id:
                since.setdefault(alias, entry.accept_tick)
    return {alias: (owner, since.get(alias, ALWAYS)) for alias, owner in owners.items()}
