"""What people declare in YAML: checked against a pydantic model, each fault with its line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

Place = tuple[int | str, ...]  # as pydantic says where something stands


class DeclarationError(ValueError):
    """A file that cannot be used; the text names file, line, field and value of every fault."""


class Section(BaseModel):
    """A part of a declaration: nothing in it is unknown, converted, or changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Declaration = TypeVar("Declaration", bound=Section)


class Misfit(NamedTuple):
    """A value that only shows to be wrong beside other things: where it is, and what is right."""

    place: Place
    value: object
    text: str


@dataclass(frozen=True, slots=True)
class Declared(Generic[Declaration]):
    """What a file says, and where."""

    content: Declaration
    path: Path
    root: yaml.Node | None

    def fault(self, place: Place, value: object, text: str) -> DeclarationError:
        """What to raise for a Misfit of these."""
        where = ".".join(str(each) for each in place)
        line = _line(self.root, place)
        return DeclarationError(f"{self.path}:{line}: {where} is {value!r}: {text}")


def parse(
    text: bytes, path: Path, kind: type[Declaration], *, what: str, secret: bool = False
) -> Declared[Declaration]:
    """What a file says that is to be a `what`; raises DeclarationError that tells all faults.

    Of a `secret` one no value is told.
    """
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        content = yaml.safe_load(text)
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        told = _told_of_yaml(error) if secret else str(error)
        raise DeclarationError(f"{path} is no {what}: {told}") from None
    try:
        return Declared(kind.model_validate({} if content is None else content), path, root)
    except ValidationError as error:
        faults = [_told(each, path, root, what, secret) for each in error.errors()]
        raise DeclarationError("\n".join(faults)) from None


def _told_of_yaml(error: Exception) -> str:
    """Without the text around it."""
    mark = getattr(error, "problem_mark", None)
    where = f" in line {mark.line + 1}" if mark is not None else ""
    return f"{getattr(error, 'problem', None) or type(error).__name__}{where}"


def _told(fault: Any, path: Path, root: yaml.Node | None, what: str, secret: bool) -> str:
    where = ".".join(str(each) for each in fault["loc"]) or f"the {what}"
    given = "" if secret or fault["type"] == "missing" else f" is {fault['input']!r}"
    return f"{path}:{_line(root, fault['loc'])}: {where}{given}: {fault['msg']}"


def _line(node: yaml.Node | None, place: Place) -> int:
    """The line, from 1, of what stands at this place, or of what should hold it."""
    line = 1 if node is None else node.start_mark.line + 1
    for step in place:
        below: Any = None
        if isinstance(node, yaml.MappingNode):
            below = next((pair for pair in node.value if pair[0].value == str(step)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            below = node.value[step], node.value[step]
        if below:
            key, node = below
            line = key.start_mark.line + 1
    return line
