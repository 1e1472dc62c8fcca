"""The report: one page that needs nothing else, with every figure, and no customer."""

import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import numpy as np
import pytest

from tests.contests import contest_of_shop, counts_of_shop, write_artefact
from tests.sequences import SPLIT, VOCABULARY
from training.data.split import Snapshot
from training.gate import Reason
from training.judging.judging import (
    BY_CONTENT,
    WITHOUT_PROFILE,
    Contest,
    Standing,
    judge_artefact,
    judge_baselines,
)
from training.report.findings import ALL, contenders, slice_rows
from training.report.page import Report, render

VOID = {"meta", "link", "br"}
SNAPSHOT = Snapshot(
    rows=1234,
    learnt_rows=1000,
    newest_time=datetime(2026, 4, 10, tzinfo=UTC),
    parts_digest="",
    split=SPLIT,
)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Report:
    counts = counts_of_shop()
    contest = contest_of_shop(counts)
    directory = write_artefact(tmp_path_factory.mktemp("artefact"), counts, contest.moments)
    model = judge_artefact("model <1>", directory, VOCABULARY, contest)
    return Report(
        title="Model <1>",
        snapshot=SNAPSHOT,
        contest=contest,
        standings=[*judge_baselines(counts, contest), model],
        types=VOCABULARY.predicted,
        reasons=[Reason("metric", False, "NDCG@10 is no better")],
        curves={"training_item": {1: 3.0, 2: 2.5}, "validation_item": {1: 3.1, 2: 2.7}},
        params={"width": 16},
    )


@pytest.fixture(scope="module")
def page(told: Report) -> str:
    return render(told)


class Reader(HTMLParser):
    """Checks that each element ends where it should, and keeps the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_is_whole_and_needs_nothing_else(page: str) -> None:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    assert page.count("<svg") == 4
    assert len(set(reader.ids)) == len(reader.ids)
    assert not re.search(r'(?:src|href)="(?!#)', page)
    assert "@import" not in page
    assert "url(http" not in page


def test_what_the_page_says_is_escaped(page: str) -> None:
    assert "<1>" not in page
    assert "Model &lt;1&gt;" in page
    assert "not met: metric: NDCG@10 is no better" in page


def test_figures_and_counts_stand_on_the_page(told: Report, page: str) -> None:
    model = told.standings[-1]
    for value in (model.ranking.ndcg, model.ranking.by_depth[20].mrr, model.breadth.coverage):
        assert f"{value:.4f}" in page
    assert "1,234 interactions up to 2026-04-10 00:00" in page
    for name in (*told.contest.slices, WITHOUT_PROFILE, BY_CONTENT):
        assert f"<td>{name}</td>" in page


def test_nobody_is_named(told: Report, page: str) -> None:
    assert not re.search(r"\bc\d+\b", "".join(_text(page)))  # as customers are called here
    for each in np.unique(told.contest.arrivals.customer_N).tolist():
        assert str(each) not in page


def _text(page: str) -> list[str]:
    reader = Reader()
    reader.feed(re.sub(r"<svg.*?</svg>|<style>.*?</style>", "", page, flags=re.DOTALL))
    return reader.text


def test_a_baseline_can_be_judged_too(told: Report) -> None:
    report = Report(
        title="baselines",
        snapshot=SNAPSHOT,
        contest=told.contest,
        standings=told.standings[:2],  # recency says nothing of intents
        types=VOCABULARY.predicted,
    )
    page = render(report)
    assert "Calibration" not in page
    assert page.count("<svg") == 1


def test_intervals_hold_the_means(told: Report) -> None:
    found = contenders(told.standings, told.contest)
    for each in found:
        assert each.ndcg.mean == pytest.approx(each.standing.ranking.ndcg)
        assert each.ndcg.low <= each.ndcg.mean <= each.ndcg.high
    assert found[-1].behind is None
    behind = found[-1].ndcg.mean - found[0].ndcg.mean
    assert found[0].behind is not None
    assert found[0].behind.mean == pytest.approx(behind)


def test_slices_of_few_customers_are_left_out(told: Report) -> None:
    contest, names = told.contest, [each.name for each in rows_of(told.contest, told.standings[-1])]
    assert names[0] == ALL
    alone = contest.arrivals.customer_N == contest.arrivals.customer_N[0]
    few = {name: getattr(contest, name) for name in Contest.__slots__}
    few |= {"slices": {"one of them": alone, "all of them": ~alone | alone}}
    kept = [each.name for each in rows_of(Contest(**few), told.standings[-1])]
    assert kept == [ALL, "all of them", WITHOUT_PROFILE, BY_CONTENT]


def rows_of(contest: Contest, standing: Standing) -> list:  # type: ignore[type-arg]
    return slice_rows([standing], contest)


def test_what_is_offered_comes_as_often_as_is_said_or_the_page_tells(
    told: Report, page: str
) -> None:
    offered = told.standings[-1].offered
    assert offered is not None
    assert offered.count_B.sum() == 7 * 60  # all that there are, at each moment
    for figures in (offered.said_B, offered.happened_B):
        assert "".join(f"<td>{each:.4f}</td>" for each in figures) in page
