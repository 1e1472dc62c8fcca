"""Filters: a small part of CEL, in which callers and policies say which items may compete.

category == "shoes" && !("outlet" in tags) && price < 100 && brand in ["Alpina", "Corsa"]
!("adult" in tags) || age >= 18
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, lru_cache

import numpy as np
from lark import (
    Lark,
    Token,
    Transformer,
    UnexpectedCharacters,
    UnexpectedInput,
    UnexpectedToken,
    v_args,
)

from serving.items.asker import NOBODY, Asker, bound, text_of
from serving.items.columns import (
    TEXTS,
    Age,
    Columns,
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

MAX_FILTER_BYTES = 1000
MAX_NESTING = 32  # of "(" and "!" in a filter: bounds the stack
MAX_COMPILED = 1024

GRAMMAR = r"""
?either: both ("||" both)*
?both: one ("&&" one)*
?one: group | negation | comparison
?group: "(" either ")"
negation: "!" (negation | group)
?comparison: TEXT EQUALITY STRING -> equality
    | TEXT "in" "[" STRING ("," STRING)* "]" -> one_of
    | STRING "in" "tags" -> tagged
    | "price" RELATION NUMBER -> price
    | "region" EQUALITY STRING -> region_equality
    | "region" "in" "[" STRING ("," STRING)* "]" -> region_in
    | "region" "in" "tags" -> region_tagged
    | "age" RELATION NUMBER -> age
TEXT: /(category|brand|currency)\b/
EQUALITY: "==" | "!="
RELATION: "<=" | ">=" | "<" | ">" | "==" | "!="
STRING: /"(\\["\\]|[^"\\])*"/
NUMBER: /-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?\b/
%ignore /[ \t\r\n]+/
"""
READABLE = {
    "$END": "the end",
    "TEXT": "category, brand, currency",
    "EQUALITY": "==, !=",
    "RELATION": "<, <=, >, >=, ==, !=",
    "STRING": 'a "text"',
    "NUMBER": "a number",
}
TOKEN = re.compile(r'"(?:\\.|[^"\\])*"?|\w+|&&|\|\||[=!<>]=|\S')
MAX_SHOWN = 40


class FilterError(ValueError):
    """A text that is no filter: where, and what would be right."""

    def __init__(self, rule: str, text: str, position: int) -> None:
        """`position` counts characters from 0."""
        found = TOKEN.match(text, position)
        self.token = found[0][:MAX_SHOWN] if found else "the end"
        super().__init__(f"position {position + 1}: {rule}")


@dataclass(frozen=True, slots=True)
class Filter:
    """A text, and what it says."""

    text: str
    condition: Condition = field(compare=False)

    def mask(self, columns: Columns) -> np.ndarray:
        """Which items it lets through."""
        return self.condition.mask(columns)

    def of(self, asker: Asker) -> "Filter":
        """What it says where this customer is asked about."""
        condition = bound(self.condition, asker)
        return self if condition == self.condition else Filter(text_of(condition), condition)

    @property
    def asks(self) -> bool:
        """Whether it depends on who is asked about."""
        return self.of(NOBODY) is not self


@lru_cache(MAX_COMPILED)
def parse_filter(text: str) -> Filter:
    """Compiles a filter; raises FilterError."""
    if len(text.encode()) > MAX_FILTER_BYTES:
        raise FilterError(f"must be at most {MAX_FILTER_BYTES} bytes", text, 0)
    _check_nesting(text)
    return compiled(text)


@lru_cache(MAX_COMPILED)
def compiled(text: str) -> Filter:
    """The same for texts that are put together here, of whatever size."""
    try:
        return Filter(text, _Conditions().transform(_parser().parse(text)))
    except UnexpectedInput as error:
        raise _complaint(text, error) from None


def every_of(filters: Iterable[Filter | None]) -> str:
    """One text that holds where all of these do; empty for none."""
    return _joined(" && ", filters)


def any_of(filters: Iterable[Filter | None]) -> str:
    """One text that holds where any of these does; empty for none."""
    return _joined(" || ", filters)


def _joined(link: str, filters: Iterable[Filter | None]) -> str:
    texts = [each.text for each in filters if each is not None]
    return link.join(f"({each})" for each in texts) if len(texts) > 1 else "".join(texts)


def _check_nesting(text: str) -> None:
    nesting = [each.start() for each in TOKEN.finditer(text) if each[0] in ("(", "!")]
    if len(nesting) > MAX_NESTING:
        rule = f'there must be at most {MAX_NESTING} of "(" and "!"'
        raise FilterError(rule, text, nesting[MAX_NESTING])


@cache
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr", start="either")


@v_args(inline=True)
class _Conditions(Transformer[Token, Condition]):
    """Each method turns what a rule of the grammar has matched into what it says."""

    def STRING(self, token: Token) -> str:  # noqa: N802  # lark's way to name a terminal
        return re.sub(r"\\(.)", r"\1", token[1:-1])

    def equality(self, field: Token, relation: Token, term: str) -> Condition:
        equal = OneOf(TEXTS.index(field), (term,))
        return equal if relation == "==" else Not(equal)

    def one_of(self, field: Token, *terms: str) -> Condition:
        return OneOf(TEXTS.index(field), terms)

    def tagged(self, term: str) -> Condition:
        return Tagged(term)

    def price(self, relation: Token, number: Token) -> Condition:
        return Price(str(relation), float(number))

    def region_equality(self, relation: Token, term: str) -> Condition:
        equal = RegionIn((term,))
        return equal if relation == "==" else Not(equal)

    def region_in(self, *terms: str) -> Condition:
        return RegionIn(terms)

    def region_tagged(self) -> Condition:
        return RegionTagged()

    def age(self, relation: Token, number: Token) -> Condition:
        return Age(str(relation), float(number))

    def negation(self, part: Condition) -> Condition:
        return Not(part)

    def both(self, *parts: Condition) -> Condition:
        return Every(parts)

    def either(self, *parts: Condition) -> Condition:
        return Some(parts)


def _complaint(text: str, error: UnexpectedInput) -> FilterError:
    expected: set[str] = set()
    if isinstance(error, UnexpectedCharacters):
        expected = error.allowed
    elif isinstance(error, UnexpectedToken):
        expected = error.accepts
    readable = ", ".join(sorted(map(_readable, expected)))
    at_end = isinstance(error, UnexpectedToken) and error.token.type == "$END"
    position = len(text) if at_end else error.pos_in_stream or 0
    return FilterError(f"expected {readable}" if readable else "has no place here", text, position)


def _readable(terminal: str) -> str:
    return READABLE.get(terminal) or str(_parser().get_terminal(terminal).pattern.value)
