"""A comparison of two versions: on the same questions of today, and in what they were made from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.artefact import ArtefactError, read_contract
from training.gate import METRICS
from training.judging.intervals import Interval, difference
from training.judging.judging import Standing, judge_artefact
from training.lineage import differing
from training.preparing import Prepared
from training.publishing import Publisher
from training.settings import TrainingError


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure of both; the difference is the second's gain on the first."""

    name: str
    values: tuple[float, float]
    gain: Interval


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two versions compare."""

    versions: tuple[str, str]
    measures: list[Measure]
    differing: list[tuple[str, str, str]]  # of their lineages: name, value, other value


def compare(run: Prepared, first: str, second: str) -> Comparison:
    """Both judged on today's test part; raises TrainingError where one must not serve."""
    publisher = Publisher(run.home)
    folders = [publisher.find(version).directory for version in (first, second)]
    standings = [
        _judge(version, folder, run)
        for version, folder in zip((first, second), folders, strict=True)
    ]
    lineages = [read_contract(folder).lineage for folder in folders]
    return Comparison((first, second), _measures(standings, run), differing(*lineages))


def _judge(version: str, directory: Path, run: Prepared) -> Standing:
    try:
        return judge_artefact(
            f"model {version}",
            directory,
            run.vocabulary,
            run.contest,
            trusted_keys=run.trusted_keys,
        )
    except (ArtefactError, OSError) as error:
        raise TrainingError(f"version is {version!r}, which must not serve: {error}") from error


def _measures(standings: list[Standing], run: Prepared) -> list[Measure]:
    some, other = standings
    arrivals, moments = run.contest.arrivals.customer_N, run.contest.moments.customer_N
    measures = [
        _measure(name, value(some.rank_N), value(other.rank_N), arrivals)
        for name, value in METRICS.values()
    ]
    assert some.log_loss_N is not None and other.log_loss_N is not None  # models have intents
    return [*measures, _measure("log-loss", some.log_loss_N, other.log_loss_N, moments)]


def _measure(name: str, some_N: np.ndarray, other_N: np.ndarray, customer_N: np.ndarray) -> Measure:
    values = float(some_N.mean()), float(other_N.mean())
    return Measure(name, values, difference(other_N, some_N, customer_N))
