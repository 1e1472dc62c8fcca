"""The asker: what a question says of its customer, put into the conditions that depend on it."""

from dataclasses import dataclass

import numpy as np

from serving.items.columns import (
    RELATIONS,
    TEXTS,
    Age,
    Always,
    Condition,
    Every,
    Not,
    OneOf,
    Price,
    RegionIn,
    RegionTagged,
    Some,
    Tagged,
)

NOTHING = "price < 0 && price > 0"  # lets no item through
MOST = "1e999"  # how a number is written that is larger than all


@dataclass(frozen=True, slots=True)
class Asker:
    """Whom a question is about, as far as the caller says it."""

    region: str = ""
    age: int | None = None


NOBODY = Asker()


def bound(condition: Condition, asker: Asker) -> Condition:
    """The condition for this customer: shorter by what is decided then, and of items alone."""
    match condition:
        case RegionIn(terms):
            return Always(asker.region in terms)
        case RegionTagged():
            return Tagged(asker.region) if asker.region else Always(False)
        case Age(relation, number):
            age = np.nan if asker.age is None else asker.age
            return Always(bool(RELATIONS[relation](age, number)))
        case Not(part):
            inner = bound(part, asker)
            return Always(not inner.holds) if isinstance(inner, Always) else Not(inner)
        case Every(parts) | Some(parts):
            return _folded(type(condition), [bound(each, asker) for each in parts])
        case _:
            return condition


def _folded(kind: type[Every] | type[Some], parts: list[Condition]) -> Condition:
    """Without the parts that decide nothing; one that decides all of it stands for it."""
    decides = kind is Some
    if Always(decides) in parts:
        return Always(decides)
    left = tuple(each for each in parts if not isinstance(each, Always))
    if len(left) > 1:
        return kind(left)
    return left[0] if left else Always(not decides)


def text_of(condition: Condition) -> str:
    """A condition of items alone, as a filter."""
    match condition:
        case OneOf(row, terms):
            return f"{TEXTS[row]} in [{', '.join(map(_quoted, terms))}]"
        case Tagged(term):
            return f"{_quoted(term)} in tags"
        case Price(relation, number):
            return f"price {relation} {str(number).replace('inf', MOST)}"
        case Not(part):
            return f"!({text_of(part)})"
        case Every(parts):
            return " && ".join(f"({text_of(each)})" for each in parts)
        case Some(parts):
            return " || ".join(f"({text_of(each)})" for each in parts)
        case Always(holds):
            return f"!({NOTHING})" if holds else NOTHING
        case _:
            raise TypeError(f"{condition} is not bound")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
