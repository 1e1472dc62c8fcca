"""The contest: models and baselines answer the same questions.

N examples   V items of the catalog   U types and silence
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from features.encoding import ItemIndex
from features.item import Item
from features.vocabulary import Vocabulary
from training.data.steps import item_indices
from training.judging import baselines
from training.judging.answering import Answering, answering, as_unknown, in_chunks
from training.judging.baselines import Counts
from training.judging.breadth import Breadth, rate_breadth
from training.judging.calibration import Reliability, reliability
from training.judging.evaluation import Intent, Ranking, log_losses, rate_intent, rate_ranking
from training.judging.examples import Examples
from training.judging.placing import Places, place, ranks_without_profile
from training.judging.slices import UNSEEN, Slices

WITHOUT_PROFILE = "without profile"
BY_CONTENT = "unseen items, by content"


@dataclass(frozen=True, slots=True)
class Contest:
    """What is asked: next items as customers come, and intents at any moment."""

    arrivals: Examples
    moments: Examples
    arrival_count: int  # of how many the arrivals are drawn
    moment_count: int
    slices: Slices  # of the arrivals
    items: ItemIndex  # the catalog
    popularity_V: np.ndarray  # how often each item occurred before the test
    described: tuple[Item, ...]  # what the catalog says of items


@dataclass(frozen=True, slots=True)
class Standing:
    """How well one contender did."""

    name: str
    ranking: Ranking
    breadth: Breadth
    intent: Intent | None
    likely: Reliability | None  # of the probability that the best item comes
    rank_N: np.ndarray  # of the right item, by arrival; infinite where it is not known
    log_loss_N: np.ndarray | None  # by moment
    rank_by_mode: Mapping[str, np.ndarray]  # ranks (N) when asked otherwise; NaN where not asked
    offered: Reliability | None = None  # of the probabilities that the ten best items come

    @property
    def headline(self) -> dict[str, float]:
        """The figures by which contenders are compared."""
        metrics = {
            "hr_at_10": self.ranking.hit_rate,
            "ndcg_at_10": self.ranking.ndcg,
            "mrr": self.ranking.mrr,
        }
        if self.intent is not None:
            metrics |= {"intent_log_loss": self.intent.log_loss, "intent_auc": self.intent.auc}
        return metrics

    @property
    def metrics(self) -> dict[str, float]:
        """All figures, by the names that they have in the contract and in MLflow."""
        metrics = self.headline | self.ranking.metrics | self.breadth.metrics
        if self.intent is not None:
            metrics["intent_ece"] = self.intent.calibration_error
        if self.likely is not None:
            metrics["item_ece"] = self.likely.error
        if self.offered is not None:
            metrics["item_ece_at_10"] = self.offered.error
        return metrics


# ---- Baselines ---------------------------------------------------------------------------------


def judge_baselines(counts: Counts, contest: Contest) -> list[Standing]:
    """Popularity and Markov have a counterpart for intents."""
    moments = contest.moments
    frequency = baselines.intent_by_frequency(counts, moments)
    last_type = baselines.intent_by_last_type(counts, moments)
    judge = partial(_judge_baseline, counts, contest)
    return [
        judge("popularity", baselines.by_popularity, frequency),
        judge("recency", baselines.by_recency, None),
        judge("Markov", baselines.by_last_step, last_type),
        judge("VMIS-kNN", baselines.by_neighbours, None),
    ]


def _judge_baseline(
    counts: Counts,
    contest: Contest,
    name: str,
    score: baselines.Score,
    intent_NU: np.ndarray | None,
) -> Standing:
    def scores(examples: Examples) -> Iterator[tuple[Examples, np.ndarray]]:
        for some in in_chunks(examples, len(counts.items.item_ids)):
            yield some, score(counts, baselines.named_items(some, counts.items))

    columns = partial(item_indices, items=counts.items)
    places = place(scores, columns, contest.arrivals)
    without_N = ranks_without_profile(scores, columns, contest.arrivals)
    return _standing(name, places, intent_NU, None, {WITHOUT_PROFILE: without_N}, contest)


# ---- Artefacts ---------------------------------------------------------------------------------


def judge_artefact(
    name: str,
    directory: Path,
    vocabulary: Vocabulary,
    contest: Contest,
    *,
    trusted_keys: str = "",
) -> Standing:
    """Lets an artefact answer as it would in serving; raises ArtefactError if it must not serve."""
    artefact = answering(directory, vocabulary, contest.described, trusted_keys=trusted_keys)
    places = place(artefact.scores, artefact.columns, contest.arrivals)
    moments = artefact.moments(contest.moments)
    came_NK = moments.column_NK == artefact.columns(contest.moments.item_N)[:, None]
    likely = reliability(moments.likely_NK[:, 0], came_NK[:, 0])
    offered = reliability(moments.likely_NK.ravel(), came_NK.ravel())
    modes = {
        WITHOUT_PROFILE: ranks_without_profile(artefact.scores, artefact.columns, contest.arrivals),
        **_by_content(artefact, contest),
    }
    index = contest.items.index_by_id
    catalog_W = np.array([index.get(each, -1) for each in artefact.item_ids])
    in_catalog = Places(places.rank_N, catalog_W[places.top_NK])
    standing = _standing(name, in_catalog, moments.intent_NU, likely, modes, contest)
    return replace(standing, offered=offered)


def _by_content(artefact: Answering, contest: Contest) -> dict[str, np.ndarray]:
    """Ranks of unseen items when none of them is known to the model but by its description."""
    never = {
        name
        for name, count in zip(contest.items.item_ids, contest.popularity_V.tolist(), strict=True)
        if not count
    }
    chosen = np.flatnonzero(contest.slices.get(UNSEEN, np.zeros(0, bool)))
    if not len(chosen):
        return {}
    unknown = as_unknown(artefact, contest.described, never)
    rank_N = np.full(len(contest.arrivals), np.nan)
    rank_N[chosen] = place(unknown.scores, unknown.columns, contest.arrivals[chosen]).rank_N
    return {BY_CONTENT: rank_N}


def _standing(
    name: str,
    places: Places,
    intent_NU: np.ndarray | None,
    likely: Reliability | None,
    rank_by_mode: Mapping[str, np.ndarray],
    contest: Contest,
) -> Standing:
    type_N = contest.moments.type_N
    return Standing(
        name=name,
        ranking=rate_ranking(places.rank_N),
        breadth=rate_breadth(places.top_NK, contest.popularity_V),
        intent=rate_intent(intent_NU, type_N) if intent_NU is not None else None,
        likely=likely,
        rank_N=places.rank_N,
        log_loss_N=log_losses(intent_NU, type_N) if intent_NU is not None else None,
        rank_by_mode=rank_by_mode,
    )
