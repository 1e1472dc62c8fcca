import json
import sys
from datetime import datetime
from pathlib import Path

import pytest

from benchmarks.report import Figure, command, report

FAST = Figure("p50, one caller", 3.2, "ms", goal=5.0)
SLOW = Figure("p99, one caller", 15.1, "ms", goal=15.0)
GOOD = Figure("ratio", 1.0, goal=1.0, better="higher")
BAD = Figure("NDCG@10 [tmall]", 0.99, goal=1.0, better="higher")
TIE = Figure("model / baseline", 1.0, goal=1.0, better="above")
AHEAD = Figure("model / baseline", 1.01, goal=1.0, better="above")
PLAIN = Figure("interactions", 541_909.3, "/s")


def test_a_goal_is_met_at_its_very_value_and_on_its_own_side() -> None:
    assert [figure.met for figure in (FAST, SLOW, GOOD, BAD, PLAIN)] == [
        True,
        False,
        True,
        False,
        None,
    ]


def test_a_tie_is_not_above() -> None:
    assert (TIE.met, AHEAD.met) == (False, True)


def test_a_figure_that_is_not_a_number_falls_short() -> None:
    assert Figure("p99", float("nan"), goal=15.0).met is False
    assert Figure("rate", float("nan"), goal=15.0, better="higher").met is False


def test_status_is_1_only_if_a_goal_falls_short(tmp_path: Path) -> None:
    assert report("all-met", [FAST, GOOD, PLAIN], results=tmp_path) == 0
    assert report("one-short", [FAST, BAD, PLAIN], results=tmp_path) == 1


def test_table_shows_figure_value_goal_and_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report("demo", [FAST, SLOW, BAD, PLAIN], results=tmp_path)
    title, _, _, _, *rows = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in row.strip("│").split("│")] for row in rows[:4]]
    assert title.strip() == "demo"
    assert cells == [
        ["p50, one caller", "3.2 ms", "≤ 5 ms", "met"],
        ["p99, one caller", "15.1 ms", "≤ 15 ms", "short"],
        ["NDCG@10 [tmall]", "0.99", "≥ 1", "short"],
        ["interactions", "541,909 /s", "", ""],
    ]


def test_results_file_says_what_was_measured_where_and_how(tmp_path: Path) -> None:
    report("demo", [SLOW, Figure("mrr", float("nan"), goal=0.2, better="higher")], results=tmp_path)
    record = json.loads((tmp_path / "demo.json").read_text(), parse_constant=pytest.fail)
    assert record["benchmark"] == "demo"
    assert record["figures"] == [
        {
            "name": "p99, one caller",
            "value": 15.1,
            "unit": "ms",
            "goal": 15.0,
            "better": "lower",
            "met": False,
        },
        {"name": "mrr", "value": None, "unit": "", "goal": 0.2, "better": "higher", "met": False},
    ]
    assert set(record["machine"]) == {"cpu", "cores", "memory_gib", "system"}
    assert record["machine"]["cores"] >= 1 and record["machine"]["memory_gib"] > 0
    assert record["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert record["versions"]["grpcio"]
    assert datetime.fromisoformat(record["time"]).utcoffset() is not None
    assert {"commit", "dirty", "command"} <= set(record)


def test_results_file_holds_no_path_of_this_machine(tmp_path: Path) -> None:
    report("demo", [FAST], results=tmp_path)
    text = (tmp_path / "demo.json").read_text()
    assert str(Path.cwd()) not in text and str(Path.home()) not in text
    assert str(tmp_path) not in text


def test_command_keeps_no_folder_of_an_absolute_path() -> None:
    typed = ["/opt/some/bin/python3", "-m", "benchmarks.demo", "--data", "../shared/data/tmall"]
    assert command(typed) == "python -m benchmarks.demo --data ../shared/data/tmall"
    assert command(["python", "-m", "b", "--data=/srv/people/me/tmall"]) == (
        "python -m b --data=tmall"
    )
