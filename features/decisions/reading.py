"""Reading logged decisions for analysis: those of a time, from the Parquet parts, as objects."""

from collections.abc import Iterator
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.decisions.decision import SCHEMA, LoggedDecision, decisions_of
from features.decisions.parts import parts
from features.settings import Home


def read_decisions(home: Home, *, since: datetime, until: datetime) -> Iterator[LoggedDecision]:
    """What was decided between two moments and has been drained, file by file."""
    kind = pa.timestamp("us", tz="UTC")
    for path in parts(home.decisions, since=since):
        rows = pq.read_table(path, schema=SCHEMA, partitioning=None)
        inside = pc.and_(
            pc.greater_equal(rows["decide_time"], pa.scalar(since, kind)),
            pc.less_equal(rows["decide_time"], pa.scalar(until, kind)),
        )
        yield from decisions_of(rows.filter(inside))
