"""Erasures: who was taken out and when, and what of an interaction may be kept since.

An erasure is a tombstone: a hash of the customer's key, and the tick up to which nothing of the
customer is kept. Nobody is named by it, but an id that comes back is recognized. Whoever returns
later is a new customer: interactions after the erasure are kept.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.interaction import ANONYMOUS, Interaction, Violation
from features.record import TICKS_PER_SECOND, moment, tick

WITHOUT_ID = "an erased customer"  # in refusals and reject files, which must not hold the id


def erased_name(customer_key: str) -> str:
    """What a tombstone calls a customer."""
    return blake2b(customer_key.encode(), digest_size=16, person=b"erased-customer").hexdigest()


@dataclass(frozen=True)
class Erasures:
    """All tombstones of the log: the tick of each erasure, by erased_name."""

    tick_by_name: Mapping[str, int]

    def tick_of(self, customer_key: str) -> int | None:
        """When a customer was erased; None for one who was not."""
        return self.tick_by_name.get(erased_name(customer_key)) if self.tick_by_name else None

    def of(self, customer_keys: Iterable[str]) -> "Erasures":
        """The tombstones of these customers alone."""
        names = {erased_name(each) for each in customer_keys}
        return Erasures({n: t for n, t in self.tick_by_name.items() if n in names})

    def violation(self, interaction: Interaction) -> Violation | None:
        """Why an interaction may not enter: it was before the erasure of who it is of."""
        if not self.tick_by_name:
            return None
        for name, key in _keys_of(interaction).items():
            erased = self.tick_of(key)
            if erased is not None and tick(interaction.event_time) <= erased:
                return _refusal(name, interaction.event_time, erased)
        return None

    def kept(self, interaction: Interaction) -> Interaction | None:
        """What is kept of an interaction that is held: None, if its customer was erased since.

        An interaction of another customer with an erased device stays, without the device.
        """
        refused = self.violation(interaction)
        if refused is None:
            return interaction
        if refused.field == "anonymous_id" and interaction.customer_id:
            return replace(interaction, anonymous_id=None)
        return None

    def kept_rows(self, rows: pa.Table) -> pa.Table:
        """The same for rows of SCHEMA; gives `rows` itself if all of them are kept whole."""
        known, device = self._covered_rows(rows)
        if not (known | device).any():
            return rows
        named = np.asarray(pc.fill_null(pc.not_equal(rows["customer_id"], ""), False))
        place = rows.schema.get_field_index("anonymous_id")
        without = pc.if_else(pa.array(~device), rows["anonymous_id"], pa.scalar(None, pa.string()))
        cleared = rows.set_column(place, rows.schema.field(place), without)
        return cleared.filter(pa.array(~known & (named | ~device)))

    def violations(self, rows: pa.Table) -> dict[int, Violation]:
        """Why rows of SCHEMA may not enter, by their place in the table."""
        known, device = self._covered_rows(rows)
        found = {}
        for place in np.flatnonzero(known | device).tolist():
            name, prefix = ("customer_id", "") if known[place] else ("anonymous_id", ANONYMOUS)
            erased = self.tick_by_name[erased_name(prefix + rows[name][place].as_py())]
            found[place] = _refusal(name, rows["event_time"][place].as_py(), erased)
        return found

    def _covered_rows(self, rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        """Which rows of SCHEMA are of an erased customer, and which name an erased device."""
        if not self.tick_by_name or not len(rows):
            return np.zeros(len(rows), bool), np.zeros(len(rows), bool)
        event_us = pc.fill_null(rows["event_time"].cast(pa.int64()), 0).to_numpy()
        ticks = event_us * TICKS_PER_SECOND // 1_000_000
        known = self._erased_at(rows["customer_id"], "") >= ticks
        return known, self._erased_at(rows["anonymous_id"], ANONYMOUS) >= ticks

    def covered(self, ids: Iterable[str | None], prefix: str = "") -> set[str]:
        """Those of these ids that were erased, ever; `prefix` makes an id a customer key."""
        return {each for each in ids if each and self.tick_of(prefix + each) is not None}

    def _erased_at(self, ids: pa.ChunkedArray, prefix: str) -> np.ndarray:
        """The tick up to which nothing is kept, row by row; -1 where everything is."""
        encoded = pc.dictionary_encode(ids, null_encoding="encode").combine_chunks()
        each = (
            self.tick_of(prefix + one) if one else None for one in encoded.dictionary.to_pylist()
        )
        ticks = np.array([-1 if one is None else one for one in each], np.int64)
        return ticks[encoded.indices.to_numpy()]


NO_ERASURES = Erasures({})


def _keys_of(interaction: Interaction) -> dict[str, str]:
    """The customer keys that an interaction names, by the field that does."""
    keys = {"customer_id": interaction.customer_id} if interaction.customer_id else {}
    if interaction.anonymous_id:
        keys["anonymous_id"] = f"{ANONYMOUS}{interaction.anonymous_id}"
    return keys


def _refusal(name: str, event_time: datetime | None, erased: int) -> Violation:
    rule = f"was erased at {moment(erased).isoformat()}; only interactions after that are kept"
    value = f"{WITHOUT_ID}, with event_time {event_time.isoformat() if event_time else None}"
    return Violation(name, value, rule)
