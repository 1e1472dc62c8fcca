"""Finding one decision by its id: in the Parquet parts, or in the log where it is not drained."""

from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from features.decisions.contract import Stream, messages, rows_of
from features.decisions.decision import LoggedDecision, decisions_of, time_of
from features.decisions.parts import find_row
from features.record import tick
from features.settings import Home

EARLIER, LATER = timedelta(minutes=1), timedelta(minutes=15)  # clocks differ; the log was away


def find_decision(home: Home, stream: Stream, decision_id: str) -> LoggedDecision | None:
    """None where no such decision was logged, or it is no longer kept. Raises LogError.

    The log is looked through first: what is drained meanwhile stands in the parts by then.
    """
    decide_time = time_of(decision_id)
    if decide_time is None:
        return None
    row = _in_log(stream, decision_id, decide_time)
    if row is None:
        row = find_row(home.decisions, decision_id, decide_time)
    return None if row is None else decisions_of(row)[0]


def _in_log(stream: Stream, decision_id: str, decide_time: datetime) -> pa.Table | None:
    last = tick(decide_time + LATER)
    for each in messages(stream, after=_position_before(stream, tick(decide_time - EARLIER))):
        if each.accept_tick > last:
            return None
        rows = rows_of(each.data)
        found = rows.filter(pc.equal(rows["decision_id"], decision_id))
        if len(found):
            return found.slice(0, 1)
    return None


def _position_before(stream: Stream, since_tick: int) -> int:
    """A position behind which everything stands that was logged since a tick: by bisection."""
    oldest, high = stream.ends()
    low = oldest - 1
    while low < high:
        middle = (low + high) // 2
        found = stream.read(after=middle, limit=1)
        if found and found[0].accept_tick < since_tick:
            low = found[0].position
        else:
            high = middle
    return max(low, 0)
