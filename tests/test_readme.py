"""The README is true: its settings are the programs' settings, its tree is the tree."""

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from features.settings import FeatureSettings
from serving.settings import ServingSettings
from training.settings import TrainingSettings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BUILT_IN = {"vocabulary": "the built-in list", "policy": "the built-in one"}  # else a path


def setting_rows(settings: type) -> Iterator[str]:
    """The rows of the README's table of settings."""
    hints = get_type_hints(settings, include_extras=True)
    for field in dataclasses.fields(settings):
        default = BUILT_IN.get(field.name, field.default)
        flag = field.name.replace("_", "-")
        yield f"| `--{flag}` | {default} | {get_args(hints[field.name])[1]} |"


def tree_lines(program: str) -> Iterator[str]:
    """The README's lines about a program: each module with what its docstring begins with."""
    for path in sorted((ROOT / program).rglob("*.py")):
        opening = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n\n")[0]
        name = str(path.relative_to(ROOT / program))
        if name != "__init__.py":
            yield f"  {name:33} {' '.join(opening.split())}"


@pytest.mark.parametrize("settings", [FeatureSettings, ServingSettings, TrainingSettings])
def test_every_setting_stands_in_the_readme(settings: type) -> None:
    assert [row for row in setting_rows(settings) if row not in README] == []


@pytest.mark.parametrize("program", ["features", "serving", "training", "benchmarks"])
def test_the_tree_of_the_readme_is_the_tree(program: str) -> None:
    assert "\n".join([f"{program}/", *tree_lines(program)]) in README


def test_no_place_of_the_readme_was_left_open() -> None:
    assert "@@" not in README
