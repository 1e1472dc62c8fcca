"""Customer measures: counts, rates, recency and money of a customer, at a moment.

They are a pure function of the newest N interactions, packed, and of the moment. Like these they
depend neither on order nor on repeats, and they are the same numbers wherever the same records
are: training reads the records of before a moment, serving those it has just read. Records of
after the moment do not count.

| name                          | is                                                            |
|-------------------------------|---------------------------------------------------------------|
| decayed_<D>d_type_<type>      | how many; each counts 2 ** -(its age / D days)                |
| decayed_<D>d_channel_<channel>| likewise                                                      |
| since_type_<type>             | seconds since the newest; infinite where there is none        |
| count_<D>d_<type>             | how many within D days, of each type that is a transaction    |
| amount_<D>d_<type>            | their money together, currencies mixed; see below             |
| contacts_<D>d                 | how many interactions the company began within D days         |
| <event>_per_<trial>           | a smoothed rate; see RATES                                    |
| held                          | how many records there are                                    |
| full                          | 1 if that is N, so that older interactions may be missing     |
| reach_s                       | seconds since the oldest record: how far the rest can see     |

All of them see no more than these N interactions: where `full` is 1, a window longer than
`reach_s` misses what is older. Hyphens in names of types and channels become underscores.

Amounts come from buckets of 1 + amount: one is known to within 6 % of itself plus 0.06, and so is
a total, to within 6 % of itself plus 0.06 for each that it adds up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from features.record import RECORD, RECORD_BYTES, TICKS_PER_SECOND, Columns, bucket_amount, unpack
from features.vocabulary import OTHER_CHANNEL, OTHER_CHANNEL_CODE, Vocabulary, load_vocabulary

MEASURES_VERSION = 1
"""Changes whenever the same records would give another number."""

TICKS_PER_DAY = 86_400 * TICKS_PER_SECOND
HALF_LIVES_DAYS = (1, 30)
WINDOWS_DAYS = (7, 30, 365)
RATE_HALF_LIFE_DAYS = 30
CODES = 256  # of types; of channels there are fewer


@dataclass(frozen=True, slots=True)
class Rate:
    """How often one type follows another: the mean of a rate with a Gamma prior.

    (prior_events + events) / (prior_trials + trials), over decayed counts: events are Poisson
    with a rate that is Gamma among customers (Gelman et al., Bayesian Data Analysis, 3rd edition,
    section 2.6). Not Beta: there may be more purchases than views.
    """

    event: str
    trial: str
    prior_events: float
    prior_trials: float

    @property
    def name(self) -> str:
        """What the measure is called."""
        return f"{_name(self.event)}_per_{_name(self.trial)}"


RATES = (
    Rate("purchase", "view", 1.0, 25.0),
    Rate("return", "purchase", 0.16, 7.0),
    Rate("redemption", "message", 0.26, 0.8),
)
"""Priors by the method of moments, a customer an observation: purchases and clicks of 879 customers
of the Tmall 2014 contest; cancelled and other lines of 4,339 customers of UCI Online Retail;
coupons redeemed and campaigns received by 1,559 households of Complete Journey 2.0."""


@dataclass(frozen=True)
class Measures:
    """The measures of one vocabulary, and how to take them."""

    vocabulary: Vocabulary
    max_records: int  # N

    @cached_property
    def types(self) -> tuple[str, ...]:
        """The axis T: types in code order."""
        declared = self.vocabulary.types.values()
        return tuple(each.name for each in sorted(declared, key=lambda each: each.code))

    @cached_property
    def transactions(self) -> tuple[str, ...]:
        """The types among them that carry money."""
        return tuple(each for each in self.types if self.vocabulary.types[each].transaction)

    @cached_property
    def channels(self) -> tuple[str, ...]:
        """The axis C: channels in code order; the last are all others."""
        codes = self.vocabulary.channels
        return (*sorted(codes, key=codes.__getitem__), OTHER_CHANNEL)

    @cached_property
    def rates(self) -> tuple[Rate, ...]:
        """The rates between types that there are."""
        return tuple(each for each in RATES if {each.event, each.trial} <= set(self.types))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The axis M: what each measure is called."""
        lives, windows = HALF_LIVES_DAYS, WINDOWS_DAYS
        return (
            *(f"decayed_{d}d_type_{_name(each)}" for d in lives for each in self.types),
            *(f"decayed_{d}d_channel_{_name(each)}" for d in lives for each in self.channels),
            *(f"since_type_{_name(each)}" for each in self.types),
            *(f"count_{d}d_{_name(each)}" for d in windows for each in self.transactions),
            *(f"amount_{d}d_{_name(each)}" for d in windows for each in self.transactions),
            *(f"contacts_{d}d" for d in windows),
            *(each.name for each in self.rates),
            "held",
            "full",
            "reach_s",
        )

    @cached_property
    def _type_at(self) -> np.ndarray:
        return _positions([self.vocabulary.types[each].code for each in self.types])

    @cached_property
    def _channel_at(self) -> np.ndarray:
        codes = [self.vocabulary.channels.get(each, OTHER_CHANNEL_CODE) for each in self.channels]
        return _positions(codes)

    def take(self, histories: Sequence[bytes], now_ticks: np.ndarray) -> np.ndarray:
        """Measures (B, M) float64 of customers' packed records, oldest first, at their moments."""
        sizes = np.array([len(each) for each in histories], np.int64) // RECORD.itemsize
        columns = unpack(np.frombuffer(b"".join(histories), RECORD))
        rows = np.repeat(np.arange(len(histories)), sizes)
        ages = np.asarray(now_ticks, np.int64)[rows] - columns.tick
        if len(ages) and ages.min() < 0:
            columns, rows, ages = _only(ages >= 0, columns, rows, ages)
        return self._take(columns, rows, ages, sizes)

    def _take(
        self, columns: Columns, rows: np.ndarray, ages: np.ndarray, sizes: np.ndarray
    ) -> np.ndarray:
        B, T, C = len(sizes), len(self.types), len(self.channels)
        type_cell = rows * (T + 1) + self._type_at[columns.type]
        channel_cell = rows * (C + 1) + self._channel_at[columns.channel]
        by_type, by_channel = [], []
        for days in HALF_LIVES_DAYS:
            weights = np.exp2(ages * (-1 / (days * TICKS_PER_DAY)))
            by_type.append(_sums(type_cell, weights, B, T + 1)[:, :T])
            by_channel.append(_sums(channel_cell, weights, B, C + 1)[:, :C])
        since_BT = np.full((B, T + 1), np.inf)
        since_BT.ravel()[type_cell] = ages / TICKS_PER_SECOND  # of several the last stands
        windowed = self._windowed(columns, rows, ages, type_cell, B)
        rates = self._rates(by_type[HALF_LIVES_DAYS.index(RATE_HALF_LIFE_DAYS)])
        parts = [*by_type, *by_channel, since_BT[:, :T], *windowed, rates]
        return np.concatenate([*parts, self._coverage(rows, ages, sizes)], axis=1)

    def _windowed(
        self, columns: Columns, rows: np.ndarray, ages: np.ndarray, type_cell: np.ndarray, B: int
    ) -> list[np.ndarray]:
        """Counts and amounts of transactions, and contacts: each (B, windows * what)."""
        T, at = len(self.types), [self.types.index(each) for each in self.transactions]
        W = len(WINDOWS_DAYS)
        limits = np.array(WINDOWS_DAYS) * TICKS_PER_DAY
        window = np.searchsorted(limits, ages)  # the shortest that holds it; W for none
        cell = type_cell * (W + 1) + window
        ones, amounts = np.ones(len(rows)), AMOUNTS[columns.bucket]
        taken = []
        for weights in (ones, amounts):
            sums_BTW = _sums(cell, weights, B, (T + 1) * (W + 1)).reshape(B, T + 1, W + 1)
            within_BTW = np.cumsum(sums_BTW, axis=2)[:, at, :W]
            taken.append(within_BTW.transpose(0, 2, 1).reshape(B, W * len(at)))
        contacts_BW = _sums(rows * (W + 1) + window, columns.company, B, W + 1)
        return [*taken, np.cumsum(contacts_BW, axis=1)[:, :W]]

    def _rates(self, decayed_BT: np.ndarray) -> np.ndarray:
        at = {name: decayed_BT[:, place] for place, name in enumerate(self.types)}
        columns = [
            (each.prior_events + at[each.event]) / (each.prior_trials + at[each.trial])
            for each in self.rates
        ]
        return np.stack(columns, axis=1) if columns else np.empty((len(decayed_BT), 0))

    def _coverage(self, rows: np.ndarray, ages: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        held_B = np.bincount(rows, minlength=len(sizes))
        reach_B = np.zeros(len(sizes))
        reach_B[rows[::-1]] = ages[::-1] / TICKS_PER_SECOND  # the first of each row stands
        return np.stack([held_B, sizes >= self.max_records, reach_B], axis=1)


@cache
def measures_of(vocabulary: Path, max_records: int) -> Measures:
    """The measures of a vocabulary file, read once."""
    return Measures(load_vocabulary(vocabulary), max_records)


def measure_columns(
    columns: Mapping[str, Sequence[Any]], vocabulary: str, max_records: int
) -> dict[str, list[float]]:
    """The same, from columns to columns, as Feast wants it: of `records` and `now_tick`.

    Feast tries a view on random bytes when it is applied: what is no whole record is left out.
    """
    measures = measures_of(Path(vocabulary), max_records)
    records = [_whole(each) if each else b"" for each in columns["records"]]
    taken = measures.take(records, np.asarray(columns["now_tick"], np.int64))
    return dict(zip(measures.names, taken.T.tolist(), strict=True))


AMOUNTS = np.array([bucket_amount(bucket) for bucket in range(128)])
"""The money that each bucket of features.record stands for."""


def _whole(records: bytes) -> bytes:
    return records[: len(records) // RECORD_BYTES * RECORD_BYTES]


def _name(kebab: str) -> str:
    return kebab.replace("-", "_")


def _positions(codes: Sequence[int]) -> np.ndarray:
    """Where on its axis each code stands; codes that are not declared stand behind its end."""
    at = np.full(CODES, len(codes))
    at[list(codes)] = np.arange(len(codes))
    return at


def _sums(cells: np.ndarray, weights: np.ndarray, B: int, width: int) -> np.ndarray:
    return np.bincount(cells, weights, minlength=B * width).reshape(B, width)


def _only(
    kept: np.ndarray, columns: Columns, rows: np.ndarray, ages: np.ndarray
) -> tuple[Columns, np.ndarray, np.ndarray]:
    fields = {name: getattr(columns, name)[kept] for name in Columns.__slots__}
    return Columns(**fields), rows[kept], ages[kept]
