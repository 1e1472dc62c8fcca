"""What happened in the simulation: gathered as arrays, written to the history day by day."""

from enum import IntEnum
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.history.partitions import write_part
from features.interaction import SCHEMA
from features.readers.reading import as_interactions
from features.simulation.catalog import CATEGORIES, CURRENCY

SOURCE = "simulator"
ROWS_A_PART = 50_000


class Channel(IntEnum):
    """Where an interaction happens; the names are those of the vocabulary, in capitals."""

    WEB = 0
    APP = 1
    STORE = 2
    CONTACT_CENTER = 3
    CHAT = 4
    EMAIL = 5
    SMS = 6
    PUSH = 7


class Kind(IntEnum):
    """The type of an interaction, likewise; from IMPRESSION on the company begins it."""

    VIEW = 0
    SEARCH = 1
    FAVORITE = 2
    CART_ADD = 3
    PURCHASE = 4
    RETURN = 5
    RATING = 6
    SERVICE_REQUEST = 7
    COMPLAINT = 8
    DISMISSAL = 9
    OPT_OUT = 10
    IMPRESSION = 11
    MESSAGE = 12
    DELIVERY = 13
    DELAY = 14
    SERVICE_REPLY = 15


def vocabulary_names(enumeration: type[IntEnum]) -> list[str]:
    """What the vocabulary calls the members."""
    return [each.name.lower().replace("_", "-") for each in enumeration]


# What a row can say in addition: (attribute, text); a search says the category looked for.
NOTES = (
    *(("query", name.lower()) for name in CATEGORIES),
    *(("stars", str(stars)) for stars in range(1, 6)),
    *(("reason", text) for text in ("late delivery", "where is my order", "how to use it")),
    *(("reason", text) for text in ("does not fit", "not as expected", "defective")),
    ("purpose", "contact"),
)
FIRST_STARS = len(CATEGORIES)
LATE, WHERE, HOW, FIRST_RETURN_REASON = range(FIRST_STARS + 5, FIRST_STARS + 9)
RETURN_REASONS = 3
NO_CONTACT = FIRST_RETURN_REASON + RETURN_REASONS

ROW = np.dtype(
    [
        *(("time", "i8"), ("customer", "i8"), ("session", "i8"), ("type", "i8")),
        *(("channel", "i8"), ("item", "i8"), ("decision", "i8"), ("position", "i8")),
        *(("note", "i8"), ("quantity", "f8"), ("amount", "f8")),
    ]
)
"""One interaction; -1 and NaN stand for nothing; time in microseconds since 1970."""
NOTHING = np.array((0, 0, -1, 0, 0, -1, -1, -1, -1, np.nan, np.nan), ROW)


class Ledger:
    """Rows wait here until their day is over."""

    def __init__(self, history: Path, *, part: str, customers: pa.Array, items: pa.Array) -> None:
        self._counts = np.zeros(len(Kind), np.int64)
        self._history, self._part = history, part
        self._customers, self._items = customers, items
        self._rows = np.empty(2 * ROWS_A_PART, ROW)
        self.waiting = 0  # rows, whether due or not

    def add(self, **columns: np.ndarray | int) -> None:
        """Rows of ROW, of one length; columns that are not named hold nothing."""
        end = self.waiting + len(columns["time"])  # type: ignore[arg-type]
        while end > len(self._rows):
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)])
        rows = self._rows[self.waiting : end]
        rows[:] = NOTHING
        for name, values in columns.items():
            rows[name] = values
        self.waiting = end

    def write(self, *, before: int) -> None:
        """Writes what happened before a midnight; all of it must have been added."""
        write_part(self._history, self.take(before=before), part=self._part)

    def take(self, *, before: int) -> pa.Table:
        """What happened before a midnight, as interactions in their order; it waits no longer."""
        rows = self._rows[: self.waiting]
        due = rows["time"] < before
        ready, kept = rows[due], rows[~due]
        self._rows[: len(kept)] = kept
        self.waiting = len(kept)
        table = self._table(ready[np.argsort(ready["time"], kind="stable")])
        self._counts += np.bincount(ready["type"], minlength=len(Kind))
        return table

    def counts(self) -> dict[str, int]:
        """How many interactions of each type were written."""
        return dict(zip(vocabulary_names(Kind), self._counts.tolist(), strict=True))

    def _table(self, rows: np.ndarray) -> pa.Table:
        first = int(self._counts.sum())
        numbers = pa.array(np.arange(first, first + len(rows)))
        company = pa.array(rows["type"] >= Kind.IMPRESSION)
        currency = pc.if_else(np.isnan(rows["amount"]), pa.scalar(None, pa.string()), CURRENCY)
        return as_interactions(
            {
                "source": SOURCE,
                "interaction_id": _named(self._part, numbers),
                "customer_id": self._customers.take(pa.array(rows["customer"])),
                "session_id": _named("session", _or_null(rows["session"])),
                "initiator": pc.if_else(company, "COMPANY", "CUSTOMER"),
                "type": pa.array(vocabulary_names(Kind)).take(pa.array(rows["type"])),
                "channel": pa.array(vocabulary_names(Channel)).take(pa.array(rows["channel"])),
                "item_id": self._items.take(_or_null(rows["item"])),
                "event_time": pa.array(rows["time"]).cast(SCHEMA.field("event_time").type),
                "quantity": pa.array(rows["quantity"], from_pandas=True),
                "amount": pa.array(rows["amount"], from_pandas=True),
                "currency": currency,
                "decision_id": decision_ids(rows["decision"]),
                "position": _or_null(rows["position"]),
                "attributes": _attributes(rows["note"]),
            },
            len(rows),
        )


def decision_ids(numbers: np.ndarray) -> pa.Array:
    """What the company's decisions are called."""
    return _named("decision", _or_null(numbers))


def _or_null(numbers: np.ndarray) -> pa.Array:
    return pa.array(numbers, mask=numbers < 0)


def _named(kind: str, numbers: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(kind, numbers.cast(pa.string()), "-")


def _attributes(notes: np.ndarray) -> pa.Array:
    """A map with one entry where there is a note, and none elsewhere."""
    said = pa.array(notes[notes >= 0])
    ends = np.concatenate([[0], np.cumsum(notes >= 0)]).astype(np.int32)
    keys = pa.array([key for key, _ in NOTES]).take(said)
    return pa.MapArray.from_arrays(ends, keys, pa.array([text for _, text in NOTES]).take(said))
