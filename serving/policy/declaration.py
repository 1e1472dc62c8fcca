"""What a policy declares: values, weights, floor, attention, exploration."""

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

DEFAULT_PATH = Path(__file__).with_name("default.yaml")
ANY_CHANNEL = "other"

Worth = Annotated[float, Field(ge=-1000, le=1000)]
Share = Annotated[float, Field(ge=0, le=1)]


class PolicyError(ValueError):
    """A policy file that cannot be used; the text names file, line, field and value."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class TypeWorth(_Section):
    """What one interaction of a type is worth."""

    customer: Worth | None = None  # None: what the vocabulary says
    company: Worth | None = None
    margin: Share = 0.0  # of the item's price, to the company


class Weights(_Section):
    """How much the value of each side counts."""

    customer: Share = 0.5
    company: Share = 0.5


class Attention(_Section):
    """What it costs to be shown something, and to be turned to unasked, by channel."""

    asked: Annotated[float, Field(ge=0)] = 0.0
    unasked: dict[str, Annotated[float, Field(ge=0)]] = {ANY_CHANNEL: 0.0}

    def cost(self, channel: str, *, unasked: bool) -> float:
        """In the scale of values."""
        if not unasked:
            return self.asked
        return self.unasked.get(channel, self.unasked.get(ANY_CHANNEL, 0.0))


class Exploration(_Section):
    """Of how many decisions the first places are drawn."""

    share: Share = 0.0
    places: Annotated[int, Field(ge=1, le=100)] = 3


class Policy(_Section):
    """All of it; see default.yaml for what each field means."""

    version: Annotated[str, Field(min_length=1, max_length=64)]
    values: dict[str, TypeWorth] = {}
    weights: Weights = Weights()
    customer_floor: Worth = 0.0
    attention: Attention = Attention()
    exploration: Exploration = Exploration()
    pool: Annotated[int, Field(ge=1, le=100)] = 16


def parse_policy(text: bytes, path: Path) -> Policy:
    """What a policy file says; raises PolicyError that tells every fault with its line."""
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        content = yaml.safe_load(text)
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise PolicyError(f"{path} is no policy: {error}") from error
    try:
        return Policy.model_validate({} if content is None else content)
    except ValidationError as error:
        faults = [_told(each, path, root) for each in error.errors()]
        raise PolicyError("\n".join(faults)) from None


def _told(fault: Any, path: Path, root: yaml.Node | None) -> str:
    where = ".".join(str(each) for each in fault["loc"])
    given = "" if fault["type"] == "missing" else f" is {fault['input']!r}"
    return f"{path}:{_line(root, fault['loc'])}: {where or 'the policy'}{given}: {fault['msg']}"


def _line(node: yaml.Node | None, place: tuple[int | str, ...]) -> int:
    """The line, from 1, of the field at this place, or of what should hold it."""
    line = 1 if node is None else node.start_mark.line + 1
    for step in place:
        if isinstance(node, yaml.MappingNode):
            found = [pair for pair in node.value if pair[0].value == str(step)]
            if not found:
                return line
            key, node = found[0]
            line = key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step]
            line = node.start_mark.line + 1
    return line
