"""Drains the decision log into Parquet, and empties it: what is drained is kept there alone."""

from collections.abc import Callable, Sequence
from itertools import islice

import pyarrow as pa

from features.decisions.contract import Logged, messages, open_stream, rows_of
from features.decisions.parts import append
from features.decisions.privacy import without_erased
from features.log.contract import open_log
from features.privacy.erasure import Erasures
from features.settings import FeatureSettings, Home

MESSAGES_A_PART = 2000


def drain_decisions(
    settings: FeatureSettings, *, progress: Callable[[int], None] = lambda count: None
) -> int:
    """Writes to Parquet what the decision log holds, and takes it out there; gives how many.

    It is taken out after the part is written: cut off at any moment, the next run reads the same
    messages again, and leaves out what the parts hold.
    """
    home = Home(settings.home)
    if not settings.log_url and not home.decision_log.exists():
        return 0
    with open_log(settings) as log:
        erasures = Erasures(log.erasures())
    count = 0
    with open_stream(settings) as stream:
        while some := list(islice(messages(stream), MESSAGES_A_PART)):
            rows = without_erased(_rows(some), erasures)
            count += append(home.decisions, rows)
            stream.remove_up_to(some[-1].position)
            progress(len(rows))
    return count


def _rows(some: Sequence[Logged]) -> pa.Table:
    return pa.concat_tables([rows_of(each.data) for each in some])
