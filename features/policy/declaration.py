"""What a policy declares: values, floor, eligibility, attention, contact, exploration, arms."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from features.declared import DeclarationError, Declared, Section, parse
from features.policy.eligibility import Eligibility, Placement
from features.policy.experiment import Experiment, Share
from features.policy.restraint import ANY_CHANNEL, Contact

DEFAULT_PATH = Path(__file__).with_name("default.yaml")

Worth = Annotated[float, Field(ge=-1000, le=1000)]


class PolicyError(ValueError):
    """A policy file that cannot be used; the text names file, line, field and value."""


class TypeWorth(Section):
    """What one interaction of a type is worth."""

    customer: Worth | None = None  # None: what the vocabulary says
    company: Worth | None = None
    margin: Share = 0.0  # of the item's price, to the company


class Weights(Section):
    """How much the value of each side counts."""

    customer: Share = 0.5
    company: Share = 0.5


class Attention(Section):
    """What it costs to be shown something, and to be turned to unasked, by channel."""

    asked: Annotated[float, Field(ge=0)] = 0.0
    unasked: dict[str, Annotated[float, Field(ge=0)]] = Field(default={ANY_CHANNEL: 0.0})

    def cost(self, channel: str, *, unasked: bool) -> float:
        """In the scale of values."""
        if not unasked:
            return self.asked
        return self.unasked.get(channel, self.unasked.get(ANY_CHANNEL, 0.0))


class Exploration(Section):
    """Of how many decisions the first places are drawn."""

    share: Share = 0.0
    places: Annotated[int, Field(ge=1, le=100)] = 3
    new_items: Share = 0.0  # of what is drawn: items that are new to the model
    new_below: Annotated[int, Field(ge=0, le=10**9)] = 0  # learnt from fewer interactions


class Policy(Section):
    """All of it; see default.yaml for what each field means."""

    version: Annotated[str, Field(min_length=1, max_length=64)]
    values: dict[str, TypeWorth] = Field(default={})
    weights: Weights = Weights()
    customer_floor: Worth = 0.0
    eligibility: Eligibility = Eligibility()
    placements: dict[str, Placement] = Field(default={})
    attention: Attention = Attention()
    contact: Contact = Contact()
    exploration: Exploration = Exploration()
    experiment: Experiment = Experiment()
    pool: Annotated[int, Field(ge=1, le=100)] = 16


def parse_policy(text: bytes, path: Path) -> Policy:
    """What a policy file says; raises PolicyError that tells every fault with its line."""
    return declared_policy(text, path).content


def declared_policy(text: bytes, path: Path) -> Declared[Policy]:
    """The same, and where it says so."""
    try:
        return parse(text, path, Policy, what="policy")
    except DeclarationError as error:
        raise PolicyError(str(error)) from error
