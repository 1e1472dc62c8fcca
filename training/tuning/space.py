"""The space that is searched: for some settings of training, the values that they may take."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, LiteralString, TypeVar

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from features.declared import Declared, Section, parse
from training.settings import TrainingSettings

FORM: LiteralString = "must be a list of values, or low and high"

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0)]
Value = TypeVar("Value", int, float)


class Values(Section, Generic[Value]):
    """What one setting may be: one of some choices, or anything from low to high."""

    choices: list[Value] = Field(default=[])
    low: Value | None = None
    high: Value | None = None
    scale: Literal["linear", "log"] = "linear"

    @model_validator(mode="before")
    @classmethod
    def _listed(cls, given: Any) -> Any:
        if not isinstance(given, list | dict):
            raise PydanticCustomError("form", FORM)
        return {"choices": given} if isinstance(given, list) else given

    @model_validator(mode="after")
    def _holds_something(self) -> "Values[Value]":
        ends = [end for end in (self.low, self.high) if end is not None]
        if bool(self.choices) == bool(ends) or len(ends) == 1:
            raise PydanticCustomError("form", FORM)
        if ends and not ends[0] < ends[1]:
            raise PydanticCustomError("empty", "is empty: low must be below high")
        if ends and self.scale == "log" and ends[0] <= 0:
            raise PydanticCustomError("log", "on a log scale low must be above 0")
        return self


class Space(Section):
    """Only what changes how a model learns, and not what is asked of it: losses must compare."""

    width: Values[Count] | None = None
    heads: Values[Count] | None = None
    blocks: Values[Count] | None = None
    max_length: Values[Count] | None = None
    dropout: Values[Share] | None = None
    learning_rate: Values[Rate] | None = None
    positions_a_step: Values[Count] | None = None
    averaging: Values[Share] | None = None

    @model_validator(mode="after")
    def _searches_something(self) -> "Space":
        if not dict(self.searched):
            names = ", ".join(type(self).model_fields)
            raise PydanticCustomError("nothing", f"must name settings to search, of: {names}")
        return self

    @property
    def searched(self) -> Iterator[tuple[str, Values[Any]]]:
        """The settings that are searched, with what they may be."""
        for name in type(self).model_fields:
            if (values := getattr(self, name)) is not None:
                yield name, values


def read_space(path: Path, settings: TrainingSettings, *, max_records: int) -> Space:
    """The space that a file declares; raises DeclarationError if models in it cannot be built."""
    declared = parse(path.read_bytes(), path, Space, what="space")
    space = declared.content
    longest = max(_whole(space.max_length, settings.max_length))
    if space.max_length and longest >= max_records:
        text = f"must be below max-records, {max_records}, the interactions kept online"
        raise declared.fault(("max_length",), longest, text)
    _check_heads(declared, settings)
    return space


def _check_heads(declared: Declared[Space], settings: TrainingSettings) -> None:
    space = declared.content
    for width in _whole(space.width, settings.width):
        for heads in _whole(space.heads, settings.heads):
            if width % heads and space.width:
                raise declared.fault(("width",), width, f"must be divisible by heads, {heads}")
            if width % heads:
                raise declared.fault(("heads",), heads, f"must divide the width, {width}")


def _whole(values: Values[int] | None, given: int) -> list[int]:
    """All that a setting of whole numbers may be."""
    if values is None:
        return [given]
    if values.low is None or values.high is None:
        return values.choices
    return list(range(values.low, values.high + 1))
