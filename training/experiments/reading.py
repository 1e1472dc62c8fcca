"""Reading an experiment: what each arm's customers did in the days after they came into it.

A customer is counted in the arm of the first decision, whatever was decided later (intention to
treat): which arm that was is chance alone, so that arms differ by what they do and nothing else.
All that customer and company did counts, in every channel, not only what answers a decision: of
whom nobody turns to, nothing could. That is what sets it apart from features.decisions.outcomes.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa

from features.decisions.parts import parts
from features.decisions.parts import scan_of as decisions_of
from features.history.partitions import is_empty, read_parts
from features.history.partitions import scan_of as history_of
from features.identity import aliases_in
from features.interaction import SCHEMA
from features.settings import Home
from features.vocabulary import Vocabulary
from training.experiments.confidence import Moments
from training.experiments.queries import (
    ALL,
    ASKED,
    COUNTED,
    COUNTS,
    DECIDED,
    PARTICIPANTS,
    SUMS,
    VALUED,
)
from training.settings import TrainingError

SIDES = ("customer", "company", "both")
STEPS = 40  # looks back at how the experiment has gone


@dataclass(frozen=True, slots=True)
class Answers:
    """How often a decision was asked for, and how often something was offered."""

    arm: str
    channel: str
    unasked: bool  # the company would turn to the customer
    asked: int
    offered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What is known of an experiment; see the moments() of it."""

    name: str
    window: timedelta
    newest_time: datetime  # up to which decisions have been drained
    moved: int  # customers decided for in several arms
    waiting: int  # customers whose window is not over
    count_by_arm: Mapping[str, Mapping[int, int]]  # customers by step
    sums: Sequence[Mapping[str, Any]]
    answers: Sequence[Answers]

    def customers(self, arm: str, *, until: int = STEPS) -> int:
        """So many came into an arm, up to a step."""
        return sum(count for step, count in self.count_by_arm[arm].items() if step <= until)

    def names(self, kind: str) -> list[str]:
        """The channels, or the types, in which anything happened that is worth something."""
        worthy = (each for each in self.sums if any(each[f"{side}_squares"] for side in SIDES))
        return sorted({each["name"] for each in worthy if each["kind"] == kind})

    def moments(
        self, arm: str, side: str, *, kind: str = ALL, name: str = "", until: int = STEPS
    ) -> Moments:
        """Of the value that a side had of each customer of an arm, in one slice, up to a step."""
        rows = [
            each
            for each in self.sums
            if (each["kind"], each["name"], each["arm"]) == (kind, name, arm)
            and each["step"] <= until
        ]
        total, squares = (sum(each[n] for each in rows) for n in (side, f"{side}_squares"))
        return Moments(self.customers(arm, until=until), float(total), float(squares))


def observe(
    home: Home, vocabulary: Vocabulary, *, window: timedelta, experiment: str = ""
) -> Observed:
    """The experiment of this name, else the newest; raises TrainingError where there is nothing."""
    found = parts(home.decisions)
    if not found:
        drain = f"python -m features drain --home {home.path}"
        raise TrainingError(f"no decisions in {home.decisions}; {drain} brings what was logged")
    with duckdb.connect() as database:
        decisions = decisions_of(found)
        name, newest = _chosen(database, decisions, experiment)
        database.register("aliases", aliases_in(home.history))
        database.execute(DECIDED.format(decisions=decisions), {"experiment": name})
        observed = observed_in(database, home, vocabulary, name=name, newest=newest, window=window)
    if not observed.count_by_arm:
        raise TrainingError(
            f"nobody has been in {name} for {window / timedelta(days=1):g} days, "
            f"{observed.waiting:,} customers for less; --window-days takes a shorter time"
        )
    return observed


def observed_in(
    database: duckdb.DuckDBPyConnection,
    home: Home,
    vocabulary: Vocabulary,
    *,
    name: str,
    newest: datetime,
    window: timedelta,
) -> Observed:
    """What came of the decisions in the table `decided`; there must be the table `aliases`."""
    database.register("worths", _worths(vocabulary))
    database.register("nothing", SCHEMA.empty_table())
    database.execute(PARTICIPANTS, {"window": window, "newest": newest, "steps": STEPS})
    counts, moved, waiting = _counts(database)
    _value(database, home, window)
    rows = database.execute(COUNTED, {"window": window}).execute(ASKED).fetchall()
    return Observed(
        name=name,
        window=window,
        newest_time=newest,
        moved=moved,
        waiting=waiting,
        count_by_arm=counts,
        sums=database.sql(SUMS).to_arrow_table().to_pylist(),
        answers=[Answers(*row) for row in rows],
    )


def _chosen(
    database: duckdb.DuckDBPyConnection, decisions: str, experiment: str
) -> tuple[str, datetime]:
    """The experiment, and when the newest decision of any was made."""
    latest, newest = database.execute(
        f"SELECT max_by(experiment, decide_time) FILTER (experiment <> ''), max(decide_time)"
        f" FROM {decisions} WHERE customer_key IS NOT NULL"
    ).fetchall()[0]
    known = [
        name
        for (name,) in database.sql(
            f"SELECT DISTINCT experiment FROM {decisions} WHERE experiment <> '' ORDER BY 1"
        ).fetchall()
    ]
    if not latest:
        rule = "declare shares of its arms in the policy: experiment"
        raise TrainingError(f"no decision was made in an experiment; {rule}")
    if experiment and experiment not in known:
        raise TrainingError(f"no decision was made in {experiment}, but in {', '.join(known)}")
    return experiment or latest, newest


def _counts(
    database: duckdb.DuckDBPyConnection,
) -> tuple[dict[str, dict[int, int]], int, int]:
    """Customers by arm and step, how many have moved, and how many are still waited for."""
    counts: dict[str, dict[int, int]] = defaultdict(dict)
    for arm, step, count in database.sql(COUNTS).fetchall():
        counts[arm][step] = count
    ((moved, over),) = database.sql(
        "SELECT count(*) FILTER (moved), count(*) FROM participants"
    ).fetchall()
    ((every,),) = database.sql("SELECT count(DISTINCT customer_key) FROM decided").fetchall()
    return dict(counts), moved, every - over


def _value(database: duckdb.DuckDBPyConnection, home: Home, window: timedelta) -> None:
    if is_empty(home.history):
        database.execute(VALUED.format(history="nothing"), {"window": window})
        return
    read_parts(
        home.history,
        lambda found: database.execute(
            VALUED.format(history=history_of(found)), {"window": window}
        ),
    )


def _worths(vocabulary: Vocabulary) -> pa.Table:
    types = vocabulary.types.values()
    return pa.table(
        {
            "type": [each.name for each in types],
            "customer": [each.customer_value for each in types],
            "company": [each.company_value for each in types],
        }
    )
