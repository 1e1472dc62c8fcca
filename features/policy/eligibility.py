"""What a policy declares of eligibility: a rule for all, what is owned, and places of their own."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from features.declared import Section

MAX_PINNED, MAX_BOOSTS, MAX_EXCLUDED = 10, 20, 500
MAX_FACTOR = 100.0

Text = Annotated[str, Field(max_length=1000)]  # a filter; empty: of every item
ItemId = Annotated[str, Field(min_length=1, max_length=128)]


class Owned(Section):
    """What a customer has had is not offered again."""

    types: list[str] = Field(default=[])  # by which one comes to have an item; none: nothing is had
    given_back: list[str] = Field(default=["return"])  # by which one has it no more
    unless: Text = ""  # such items may be had again
    days: Annotated[float, Field(gt=0, le=3650)] = 3650.0


class Eligibility(Section):
    """What holds wherever something is offered."""

    rule: Text = ""
    owned: Owned = Owned()


class Boosted(Section):
    """By what the value of some items is multiplied."""

    filter: Text = ""
    item: str = ""
    factor: Annotated[float, Field(gt=0, le=MAX_FACTOR)]

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if bool(self.filter) == bool(self.item):
            raise ValueError("needs one of filter and item")
        return self


class Placement(Section):
    """What holds beside in one place of a channel, such as the checkout."""

    filter: Text = ""
    exclude: Annotated[list[ItemId], Field(max_length=MAX_EXCLUDED)] = Field(default=[])
    boost: Annotated[list[Boosted], Field(max_length=MAX_BOOSTS)] = Field(default=[])
    pin: Annotated[list[ItemId], Field(max_length=MAX_PINNED)] = Field(default=[])
    most: Annotated[int, Field(ge=1, le=100)] | None = None  # candidates, however many are asked
