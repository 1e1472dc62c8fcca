"""What is held of a customer, unpacked for people: the customer, customer care, an engineer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from features.item import Item
from features.record import RECORD, bucket_amount, moment, unpack
from features.vocabulary import OTHER_CHANNEL, Initiator, Vocabulary


@dataclass(frozen=True, slots=True)
class Held:
    """One interaction as decisions see it: packed, and therefore rounded."""

    event_time: datetime  # to within 4 ms
    initiator: Initiator
    type: str  # empty for a type that has left the vocabulary
    channel: str  # "other" for one that the vocabulary does not list
    item: Item | None  # None also for an item that the catalog does not hold
    amount: float  # to within 6 %; 0 without money


def held_interactions(
    records: bytes, vocabulary: Vocabulary, items: Mapping[int, Item]
) -> list[Held]:
    """Packed records, newest first; `items` are the catalog's, by features.record.item_hash."""
    columns = unpack(np.frombuffer(records, RECORD)[::-1])
    types, channels = vocabulary.type_by_code, vocabulary.channel_by_code
    return [
        Held(
            event_time=moment(int(columns.tick[at])),
            initiator=Initiator.COMPANY if columns.company[at] else Initiator.CUSTOMER,
            type=types[code].name if (code := int(columns.type[at])) in types else "",
            channel=channels.get(int(columns.channel[at]), OTHER_CHANNEL),
            item=items.get(int(columns.item[at])),
            amount=bucket_amount(int(columns.bucket[at])),
        )
        for at in range(len(columns.tick))
    ]
