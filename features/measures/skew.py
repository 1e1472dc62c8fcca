"""Skew: whether decisions saw the features that the history says they should have seen.

The decision log has what was seen; history and log say what was known by then (history.hindsight).
Records are compared byte by byte, measures to within TOLERANCE, and the two distributions of each
measure by the population stability index: over bins that hold a tenth of what was recomputed each,
the sum of (p - q) * ln(p / q). By the usual reading (Siddiqi, Credit Risk Scorecards, 2006) up to
0.1 is no shift, and above 0.25 is a great one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from features.history.hindsight import GRACE_S, Asked, look_back
from features.log.contract import open_log
from features.measures.customers import Measures
from features.measures.samples import LoggedSample, read_samples
from features.record import RECORD_BYTES
from features.settings import FeatureSettings, Home
from features.vocabulary import load_vocabulary

TOLERANCE = 1e-9
"""How far a measure may lie from what is recomputed, relative to it, or absolutely below 1."""
BINS = 10
LEAST_SHARE = 1e-4  # of a bin, where it is empty: the logarithm needs one
RECORDS = "records"


@dataclass(frozen=True, slots=True)
class FeatureSkew:
    """One feature over all decisions that were compared."""

    feature: str
    compared: int
    equal: int
    largest: float  # difference; of the records, how many stand in only one of both
    stability: float  # the population stability index; of the records, of how many there are

    @property
    def share_differing(self) -> float:
        """The share of decisions in which it differs."""
        return (self.compared - self.equal) / self.compared if self.compared else 0.0


def check_skew(
    settings: FeatureSettings, *, since: datetime, grace_s: float = GRACE_S
) -> list[FeatureSkew]:
    """Compares what was logged since a moment with what should have been: records, and measures.

    A measure of which one side knows nothing, as after a new release, is passed over.
    """
    logged = read_samples(Home(settings.home), since=since)
    vocabulary = load_vocabulary(settings.vocabulary)
    asked = [_asked(each) for each in logged]
    with open_log(settings) as log:
        hindsight = look_back(settings, log, vocabulary, asked, grace_s=grace_s)
    histories = [hindsight.records(each) for each in asked]
    measures = Measures(vocabulary, settings.max_records)
    taken = measures.take(histories, np.array([each.tick for each in asked], np.int64))
    seen = [each.sample.records for each in logged]
    return [_compare_records(seen, histories), *_compare_measures(logged, measures, taken)]


def _asked(each: LoggedSample) -> Asked:
    sample = each.sample
    return Asked(sample.customer_key, sample.tick, sample.staleness_s, sample.records)


def _compare_records(seen: Sequence[bytes], known: Sequence[bytes]) -> FeatureSkew:
    pairs = [(_split(a), _split(b)) for a, b in zip(seen, known, strict=True)]
    apart = np.array([len(a ^ b) for a, b in pairs])
    sizes = np.array([(len(a), len(b)) for a, b in pairs], float).reshape(-1, 2)
    equal = sum(a == b for a, b in zip(seen, known, strict=True))
    shift = stability(sizes[:, 0], sizes[:, 1])
    return FeatureSkew(RECORDS, len(pairs), equal, float(apart.max(initial=0)), shift)


def _split(records: bytes) -> set[bytes]:
    return {records[at : at + RECORD_BYTES] for at in range(0, len(records), RECORD_BYTES)}


def _compare_measures(
    logged: Sequence[LoggedSample], measures: Measures, taken: np.ndarray
) -> list[FeatureSkew]:
    compared = []
    for name, known in zip(measures.names, taken.T, strict=True):
        both = np.array([name in each.measures for each in logged], bool)
        seen = np.array([each.measures[name] for each in logged if name in each.measures])
        compared.append(compare(name, seen, known[both]))
    return compared


def compare(feature: str, seen: np.ndarray, known: np.ndarray) -> FeatureSkew:
    """One measure as it was seen and as it is known, decision by decision."""
    with np.errstate(invalid="ignore"):  # infinity less infinity, which are equal
        apart = np.where(seen == known, 0.0, np.abs(seen - known))
        allowed = TOLERANCE * np.maximum(np.where(np.isinf(known), 1.0, np.abs(known)), 1.0)
    equal = int((apart <= allowed).sum())
    largest = float(apart.max(initial=0.0))
    return FeatureSkew(feature, len(seen), equal, largest, stability(seen, known))


def stability(seen: np.ndarray, known: np.ndarray) -> float:
    """The population stability index of `seen` against `known`; 0 where there is nothing."""
    if not len(known):
        return 0.0
    tenths = np.arange(1, BINS) / BINS
    edges = np.unique(np.quantile(known, tenths, method="lower"))
    p, q = (_shares(each, edges) for each in (seen, known))
    return float(((p - q) * np.log(p / q)).sum())


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    bins = np.searchsorted(edges, values, side="left")
    counts = np.bincount(bins, minlength=len(edges) + 1)
    return np.maximum(counts / len(values), LEAST_SHARE)
