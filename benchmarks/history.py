"""The history's figures: draining, compaction, and point-in-time reads for a million decisions.

make bench NAME=history                           # 50,000 simulated customers, 90 days
make bench NAME=history ARGS="--customers 2000"   # a quick look
"""

import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import click
import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.composed import run_program
from benchmarks.report import Figure, report
from features.history.compaction import compact
from features.history.draining import drain
from features.history.partitions import CUSTOMER_KEY, count, parts, scan, write_whole
from features.history.point_in_time import histories_at, rows_at
from features.log.sqlite import SqliteLog
from features.measures.items import snapshot_items
from features.settings import FeatureSettings, Home
from features.table_check import interaction_of
from features.vocabulary import load_vocabulary

ROOT = Path(".interplay/bench")
UNTIL = "2026-11-22"
DECISIONS = 1_000_000
DRAINED = 200_000
PARTS_A_DAY = 24  # as after draining every hour
AsOf = Callable[[pa.Table, pa.Table], pa.Table]


@click.command()
@click.option("--customers", type=click.IntRange(1), default=50_000, show_default=True)
def main(customers: int) -> None:
    """Measures, prints the table, and writes benchmarks/results/history.json."""
    home = Home(ROOT / "history")
    shutil.rmtree(home.path, ignore_errors=True)
    simulation = ("--customers", str(customers), "--days", "90", "--until", UNTIL)
    run_program("features", "simulate", *simulation, "--home", home.path)
    snapshot_items(home, today=datetime.fromisoformat(UNTIL).date())
    figures = [*_reads(home), *_compaction(home), *_draining(home)]
    sys.exit(report("history", figures))


def _reads(home: Home) -> Iterator[Figure]:
    yield Figure("interactions in the history", count(home.history))
    decisions = _decisions(home)
    customers_s = _seconds(lambda: _read_customers(home, decisions))
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    items = pa.concat_tables(
        pq.read_table(each) for each in sorted(home.item_measures.glob("*.parquet"))
    )
    asked = decisions.filter(pc.is_valid(decisions["item_id"]))
    ways: dict[str, AsOf] = {"ours": _ours, "DuckDB": _duckdb, "pyarrow": _pyarrow}
    answers: list[pa.Table] = []
    seconds = {
        name: _seconds(lambda way=way: answers.append(way(asked, items)))  # type: ignore[misc]
        for name, way in ways.items()
    }
    if not all(each.equals(answers[0]) for each in answers):
        raise SystemExit("the ways to read items as of a time disagree")
    yield Figure(f"{DECISIONS:,} decisions: customers' records", customers_s, "s")
    yield Figure("peak memory of that", peak_gib, "GiB")
    for name, each in seconds.items():
        yield Figure(f"{len(asked):,} decisions: items' measures, {name}", each, "s")
    total_s = customers_s + seconds["ours"]
    yield Figure(f"{DECISIONS:,} decisions: customers and items", total_s, "s", goal=60)


def _decisions(home: Home) -> pa.Table:
    """A million moments at which something happened, each with its customer and item."""
    rows = f"SELECT {CUSTOMER_KEY} AS customer_key, event_time, item_id FROM {scan(home.history)}"
    query = f"SELECT * FROM ({rows}) USING SAMPLE reservoir({DECISIONS} ROWS) REPEATABLE (7)"
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        found = database.sql(query).to_arrow_table()
    repeats = -(-DECISIONS // len(found))  # of a history with fewer interactions
    return pa.concat_tables([found] * repeats).slice(0, DECISIONS).combine_chunks()


def _read_customers(home: Home, decisions: pa.Table) -> int:
    batches = histories_at(home.history, decisions, max_records=100, vocabulary=load_vocabulary())
    return sum(len(each) for each in batches)


def _ours(asked: pa.Table, items: pa.Table) -> pa.Table:
    return rows_at(asked, items, key="item_id", time="update_time").combine_chunks()


def _duckdb(asked: pa.Table, items: pa.Table) -> pa.Table:
    numbered = asked.append_column("row", pa.array(range(len(asked))))
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        database.register("asked", numbered)
        database.register("items", items)
        found = database.sql(
            "SELECT items.* EXCLUDE (item_id) FROM asked ASOF LEFT JOIN items "
            "ON asked.item_id = items.item_id AND asked.event_time >= items.update_time "
            "ORDER BY row"
        ).to_arrow_table()
    return found.cast(_measured(items)).combine_chunks()


def _pyarrow(asked: pa.Table, items: pa.Table) -> pa.Table:
    """Both sides sorted by time, as it wants them; the time of the match is copied beforehand."""
    numbered = asked.append_column("row", pa.array(range(len(asked))))
    left = numbered.select(["item_id", "event_time", "row"]).sort_by("event_time")
    right = items.append_column("event_time", items["update_time"]).sort_by("event_time")
    furthest_us = -(10 * 365 * 86_400_000_000)
    found = left.join_asof(
        right, on="event_time", by="item_id", tolerance=furthest_us,
    ).sort_by("row")  # fmt: skip
    names = [name for name in items.column_names if name != "item_id"]
    return found.select(names).cast(_measured(items)).combine_chunks()


def _measured(items: pa.Table) -> pa.Schema:
    """What an answer has: all but the key, null where nothing was known."""
    fields = [each.with_nullable(True) for each in items.schema if each.name != "item_id"]
    return pa.schema(fields)


def _compaction(home: Home) -> Iterator[Figure]:
    small = Home(ROOT / "history-small")
    shutil.rmtree(small.path, ignore_errors=True)
    for part in parts(home.history):
        rows = pq.ParquetFile(part).read()
        size = -(-len(rows) // PARTS_A_DAY)
        folder = small.history / part.parent.name
        folder.mkdir(parents=True)
        for number, start in enumerate(range(0, len(rows), size)):
            write_whole(rows.slice(start, size), folder / f"log-{number:02d}.parquet")
    before = _bytes(small.history)
    began = time.perf_counter()
    done = compact(small.history, grace_s=0, now=time.time())
    seconds = time.perf_counter() - began
    yield Figure("compaction: files before", done.part_count)
    yield Figure("compaction: files after", len(parts(small.history)))
    yield Figure("compaction: bytes after / before", _bytes(small.history) / before)
    yield Figure("compaction", done.row_count / seconds, "rows/s")
    shutil.rmtree(small.path)


def _bytes(root: Path) -> int:
    return sum(each.stat().st_size for each in parts(root))


def _draining(home: Home) -> Iterator[Figure]:
    """Of a log of its own, into a history that is there."""
    settings = FeatureSettings(home=home.path)
    days = parts(home.history)[-3:]
    rows = pa.concat_tables([pq.ParquetFile(each).read() for each in days]).slice(0, DRAINED)
    fresh = [interaction_of({**row, "source": "benchmark"}) for row in rows.to_pylist()]
    with SqliteLog(home.log) as log:
        log.append([fresh])
    began = time.perf_counter()
    drained = drain(settings)
    seconds = time.perf_counter() - began
    if drained != len(fresh):
        raise SystemExit(f"{drained} of {len(fresh)} interactions were drained")
    yield Figure(f"draining {drained:,} interactions", drained / seconds, "rows/s")


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
