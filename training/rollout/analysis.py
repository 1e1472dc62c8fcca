"""Analysis: what a canary's customers are worth beside the champion's, since it is a canary.

Who belongs to it is told by the hash that serving draws by, not by who answered: where the champion
had to answer instead, that counts against the canary (intention to treat). The value is two-sided,
of all that a customer did in the days from the first decision on, and the bounds hold at every look
(training.experiments.confidence), so that one may look as often as one likes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

import duckdb
import pyarrow as pa

from features.artefact import CHAMPION
from features.decisions.parts import parts, scan_of
from features.identity import aliases_in
from features.policy.arms import Arm
from features.rollout import CANARY, VALUE, Fault, Rollout
from features.settings import Home
from features.vocabulary import Vocabulary
from training.experiments.confidence import Moments, sure_difference
from training.experiments.reading import SIDES, Observed, observed_in
from training.judging.intervals import Interval

BOTH = SIDES[-1]
SINCE = """
CREATE TEMP TABLE since AS
SELECT coalesce(a.customer_key, d.customer_key) AS customer_key, decide_time, channel, initiator,
    reason
FROM {decisions} AS d LEFT JOIN aliases AS a ON a.alias = d.customer_key
WHERE d.customer_key IS NOT NULL AND decide_time >= $began AND arm IN ('', $full)
"""
DECIDED = """
CREATE TEMP TABLE decided AS
SELECT since.*, belongs.name AS arm FROM since JOIN belongs USING (customer_key)
"""


class Verdict(Enum):
    """What follows for a canary."""

    OPEN = "not yet sure"
    WORSE = "surely worse"
    GOOD = "surely no worse"


@dataclass(frozen=True, slots=True)
class Analysis:
    """How a canary stands."""

    rollout: Rollout
    customers: Mapping[str, int]  # by CANARY and CHAMPION; whose days are over
    waiting: int  # customers whose days are not
    value: float  # of a customer of the champion's, to both sides
    differences: Mapping[str, Interval]  # of a customer, by side: the canary's less the champion's

    def verdict(self, *, tolerated: float) -> Verdict:
        """`tolerated` is the share of the champion's value that it may lose."""
        both = self.differences[BOTH]
        if both.high < 0:
            return Verdict.WORSE
        return Verdict.GOOD if both.low > -tolerated * abs(self.value) else Verdict.OPEN

    @property
    def text(self) -> str:
        """The difference, for people and for the registry."""
        both, of = self.differences[BOTH], self.customers[CANARY]
        bounds = f"{both.mean:+.4f} [{both.low:+.4f}, {both.high:+.4f}]"
        return f"{bounds} a customer, of {of:,} beside {self.customers[CHAMPION]:,}"

    @property
    def fault(self) -> Fault:
        """Why it goes, if it does."""
        return Fault(VALUE, self.text)


def analyse(
    home: Home, vocabulary: Vocabulary, rollout: Rollout, *, since: datetime, window: timedelta
) -> Analysis | None:
    """What has been drained tells of a canary; None where that is nothing yet."""
    found = parts(home.decisions, since=since)
    if not found:
        return None
    with duckdb.connect() as database:
        database.register("aliases", aliases_in(home.history))
        scanned = SINCE.format(decisions=scan_of(found))
        database.execute(scanned, {"began": since, "full": Arm.FULL.value})
        ((newest,),) = database.sql("SELECT max(decide_time) FROM since").fetchall()
        if newest is None:
            return None
        database.register("belongs", _belonging(database, rollout))
        database.execute(DECIDED)
        return _told(
            rollout,
            observed_in(
                database, home, vocabulary, name=rollout.version, newest=newest, window=window
            ),
        )


def _belonging(database: duckdb.DuckDBPyConnection, rollout: Rollout) -> pa.Table:
    """Whose customer each one is, by the lot."""
    rows = database.sql("SELECT DISTINCT customer_key FROM since ORDER BY 1").fetchall()
    keys = [key for (key,) in rows]
    names = [CANARY if taken else CHAMPION for taken in rollout.takes(keys)]
    return pa.table({"customer_key": pa.array(keys, pa.string()), "name": names})


def _told(rollout: Rollout, observed: Observed) -> Analysis:
    arms = observed.count_by_arm
    customers = {arm: observed.customers(arm) if arm in arms else 0 for arm in (CANARY, CHAMPION)}
    moments = {
        (arm, side): observed.moments(arm, side) if arm in arms else Moments()
        for arm in customers
        for side in SIDES
    }
    return Analysis(
        rollout,
        customers,
        observed.waiting,
        moments[CHAMPION, BOTH].mean,
        {side: sure_difference(moments[CANARY, side], moments[CHAMPION, side]) for side in SIDES},
    )
