"""One event about several products: an interaction for each, all told apart by their place."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from features.interaction import Interaction
from features.vocabulary import Initiator

COMPANY_TYPES = frozenset({"impression", "message"})
MONEY_TYPES = frozenset({"purchase", "return"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What an event says of one of its products."""

    item_id: str | None
    quantity: float | None = None
    amount: float | None = None  # of the whole line, not per unit
    currency: str | None = None
    position: int | None = None


def initiator_of(type: str) -> Initiator:
    """Who begins an interaction of a type that a converter gives."""
    return Initiator.COMPANY if type in COMPANY_TYPES else Initiator.CUSTOMER


def of_lines(about: Interaction, lines: Sequence[Line]) -> list[Interaction]:
    """The interaction once for each line, with ids `id#1`, `id#2`; once as it is without lines."""
    return [_with(about, line, place) for place, line in enumerate(lines, 1)] or [about]


def _with(about: Interaction, line: Line, place: int) -> Interaction:
    """Views and carts know prices too, but only transactions have money."""
    amount = line.amount if about.type in MONEY_TYPES else None
    return replace(
        about,
        interaction_id=f"{about.interaction_id}#{place}",
        item_id=line.item_id,
        quantity=line.quantity,
        amount=amount,
        currency=None if amount is None else line.currency,
        position=line.position,
    )


def shown_before(about: Interaction, item_ids: Sequence[str]) -> list[Interaction]:
    """The impressions that an event reports besides itself, with ids `id#shown-1` and so on."""
    return [
        replace(
            about,
            interaction_id=f"{about.interaction_id}#shown-{place}",
            initiator=Initiator.COMPANY,
            type="impression",
            item_id=item_id,
            quantity=None,
            amount=None,
            currency=None,
            position=place,
            attributes={},
        )
        for place, item_id in enumerate(item_ids, 1)
    ]


def priced(price: float | None, quantity: float | None) -> float | None:
    """The amount of a line by its price per unit; one unit where no quantity is given."""
    return None if price is None else price * (1 if quantity is None else quantity)
