"""One customer's decisions: what parts and log hold, each once, with what came of it.

They come in time order, a day after the other. No more of them is held at once than a window of
attribution takes, as what came of one depends on those that followed; and what the log has of the
customer, which is what was decided since the last drain.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from features.decisions.contract import Stream, messages, rows_of
from features.decisions.decision import SCHEMA
from features.decisions.outcomes import WINDOW, Attribution, Worth, outcomes_among
from features.decisions.parts import DAY, days_of, rows_of_customer
from features.decisions.privacy import without_erased
from features.history.partitions import as_table
from features.identity import ALIASES_SCHEMA
from features.interaction import ANONYMOUS
from features.privacy.customer_history import CustomerHistory
from features.privacy.erasure import Erasures
from features.record import EPOCH
from features.settings import Home

ROWS_AT_ONCE = 100
ORDER = [("decide_time", "ascending"), ("decision_id", "ascending")]

Outcome = Mapping[str, Any]
Outcomes = Mapping[int | None, Outcome]
"""What came of each place that was offered, or of silence: None. Empty while the window is open."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Where decisions are kept."""

    home: Home
    stream: Stream
    erasures: Erasures


def read_decisions_of(
    history: CustomerHistory, kept: Kept, worths: Mapping[str, Worth], *, now: datetime
) -> Iterator[tuple[dict[str, Any], Outcomes]]:
    """Rows of decisions.SCHEMA, each with its outcomes by position. Raises LogError.

    The log is looked through first: what is drained meanwhile stands in the parts by then.
    """
    join = _joining(history, worths, now)
    logged = _in_log(kept.stream, history.keys)
    for own, followed in _with_following(_by_day(logged, kept, history.keys)):
        found = join(followed)
        for batch in own.to_batches(max_chunksize=ROWS_AT_ONCE):
            for row in batch.to_pylist():
                yield row, found.get(row["decision_id"], {})


def _in_log(stream: Stream, customer_keys: Collection[str]) -> pa.Table:
    wanted = pa.array(customer_keys, pa.string())
    every = (rows_of(each.data) for each in messages(stream))
    found = (rows.filter(pc.is_in(rows["customer_key"], wanted)) for rows in every)
    return pa.concat_tables([SCHEMA.empty_table(), *(rows for rows in found if len(rows))])


def _by_day(logged: pa.Table, kept: Kept, customer_keys: Collection[str]) -> Iterator[pa.Table]:
    """What there is of each day, in order, each once."""
    day_N = pc.strftime(logged["decide_time"], DAY)
    for day in sorted({*days_of(kept.home.decisions), *day_N.to_pylist()}):
        drained = rows_of_customer(kept.home.decisions, day, customer_keys)
        known = drained["decision_id"].combine_chunks()
        waiting = logged.filter(pc.equal(day_N, day))
        fresh = waiting.filter(pc.invert(pc.is_in(waiting["decision_id"], known)))
        rows = without_erased(pa.concat_tables([drained, fresh]), kept.erasures)
        if len(rows):
            yield rows.sort_by(ORDER)


def _with_following(tables: Iterator[pa.Table]) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Each table, and the same with all that were decided within a window of it."""
    waiting: deque[pa.Table] = deque()
    for table in tables:
        while waiting and _ends(table)[0] > _ends(waiting[0])[1] + WINDOW:
            yield waiting[0], pa.concat_tables(waiting)
            waiting.popleft()
        waiting.append(table)
    while waiting:
        yield waiting[0], pa.concat_tables(waiting)
        waiting.popleft()


def _ends(table: pa.Table) -> tuple[datetime, datetime]:
    first, last = table["decide_time"][0].as_py(), table["decide_time"][-1].as_py()
    return first, last


def _joining(
    history: CustomerHistory, worths: Mapping[str, Worth], now: datetime
) -> Callable[[pa.Table], dict[str, dict[int | None, Outcome]]]:
    """Gives the outcomes of decisions by id and position."""
    interactions = as_table(history.interactions)
    joins = [
        {"alias": ANONYMOUS + each, "customer_key": history.customer_key}
        for each in history.anonymous_ids
    ]
    aliases = pa.Table.from_pylist(joins, schema=ALIASES_SCHEMA)
    attribution = Attribution(since=EPOCH, now=now)

    def join(decisions: pa.Table) -> dict[str, dict[int | None, Outcome]]:
        found = outcomes_among(decisions, interactions, aliases, worths, attribution)
        by_id: dict[str, dict[int | None, Outcome]] = {}
        for each in found.to_pylist():
            by_id.setdefault(each["decision_id"], {})[each["position"]] = each
        return by_id

    return join
