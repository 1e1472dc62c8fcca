"""Contenders are judged as serving would have them answer."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.artefact import load_content
from features.encoding import ItemIndex
from features.record import item_hash
from serving.model.scorer import Fresh, Scorer
from tests.contests import NEW, contest_of_shop, counts_of_shop, write_artefact
from tests.sequences import ITEMS, VOCABULARY
from training.judging.baselines import Counts
from training.judging.judging import (
    BY_CONTENT,
    WITHOUT_PROFILE,
    Contest,
    judge_artefact,
    judge_baselines,
)
from training.judging.placing import without_profile


@pytest.fixture(scope="module")
def counts() -> Counts:
    return counts_of_shop()


@pytest.fixture(scope="module")
def contest(counts: Counts) -> Contest:
    return contest_of_shop(counts)


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory, counts: Counts, contest: Contest) -> Path:
    return write_artefact(tmp_path_factory.mktemp("artefact"), counts, contest.moments)


def served_ranks(artefact: Path, contest: Contest, hidden: str = "") -> np.ndarray:
    """Where serving ranks the right items, the new one by its content."""
    scorer = Scorer(artefact, VOCABULARY, threads=1)
    fresh = [NEW] if not hidden else [NEW, contest.described[1]]
    names = [*ITEMS.item_ids, *(each.item_id for each in fresh)]
    if hidden:
        scorer.items = ItemIndex(tuple("?" if each == hidden else each for each in ITEMS.item_ids))
        names[names.index(hidden)] = "?"
    arrivals = contest.arrivals
    scores = scorer.score(
        arrivals.histories,
        arrivals.channel_N.tolist(),
        arrivals.tick_N,
        eligible_EV=np.array([[each != "?" for each in names]]),
        mask_B=np.zeros(len(arrivals), np.int64),
        fresh=Fresh(
            ItemIndex(tuple(each.item_id for each in fresh)), load_content(artefact).vectors(fresh)
        ),
        k=len(names),
    )
    place = {item_hash(name): at for at, name in enumerate(names)}
    rows = zip(scores.item_BK.tolist(), arrivals.item_N.tolist(), strict=True)
    return np.array([row.index(place[item]) + 1 if item else np.inf for row, item in rows])


def test_an_artefact_is_judged_by_what_serving_would_answer(
    artefact: Path, contest: Contest
) -> None:
    standing = judge_artefact("model", artefact, VOCABULARY, contest)
    assert standing.rank_N.tolist() == served_ranks(artefact, contest).tolist()
    assert np.isfinite(standing.rank_N[::5]).all()  # items that no training has seen


def test_unseen_items_are_judged_by_content_as_if_they_came_later(
    artefact: Path, contest: Contest
) -> None:
    rank_N = judge_artefact("model", artefact, VOCABULARY, contest).rank_by_mode[BY_CONTENT]
    asked_N = contest.slices["unseen items"]
    assert np.isnan(rank_N[~asked_N]).all()
    served_N = served_ranks(artefact, contest, hidden="i5")
    # Neither has features that training knows: serving has to put one of the two first.
    assert (np.abs(rank_N - served_N)[asked_N] <= 0.5).all()


def test_without_profile_every_history_is_empty(
    artefact: Path, contest: Contest, counts: Counts
) -> None:
    nobody = replace(contest, arrivals=without_profile(contest.arrivals))
    standing = judge_artefact("model", artefact, VOCABULARY, contest)
    emptied = judge_artefact("model", artefact, VOCABULARY, nobody)
    assert standing.rank_by_mode[WITHOUT_PROFILE].tolist() == emptied.rank_N.tolist()
    popularity, *others = judge_baselines(counts, contest)
    for each in others:  # who know nobody, know what is popular
        assert each.rank_by_mode[WITHOUT_PROFILE].tolist() == popularity.rank_N.tolist()


def test_figures_of_a_standing_have_names(artefact: Path, contest: Contest) -> None:
    metrics = judge_artefact("model", artefact, VOCABULARY, contest).metrics
    names = {"hr_at_10", "ndcg_at_10", "mrr", "intent_log_loss", "intent_auc"}
    assert names <= metrics.keys()
    depths = {f"{each}_at_{depth}" for each in ("hr", "ndcg", "mrr") for depth in (1, 5, 10, 20)}
    calibration = {"coverage_at_10", "novelty_at_10", "intent_ece", "item_ece", "item_ece_at_10"}
    assert metrics.keys() == names | depths | calibration
    assert all(0 <= metrics[each] <= 1 for each in depths | {"coverage_at_10", "item_ece"})


def test_right_items_that_nobody_describes_are_missed(artefact: Path, contest: Contest) -> None:
    undescribed = replace(contest, described=())
    standing = judge_artefact("model", artefact, VOCABULARY, undescribed)
    assert np.isinf(standing.rank_N[::5]).all()
