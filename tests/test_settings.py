"""Settings: each field is a flag and a variable, and wrong values are named."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import click
from click.testing import CliRunner

from features.settings import FeatureSettings, options


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(FeatureSettings):
    """Settings of a program that is only a test."""

    port: Annotated[int, "where it listens"] = 1234
    verbose: Annotated[bool, "says more"] = False


@click.command()
@options(Settings)
def program(**values: Any) -> None:
    """Prints its settings."""
    print(Settings(**values))


def run(*arguments: str, **variables: str) -> str:
    return CliRunner().invoke(program, arguments, env=variables).output


def test_defaults_flags_and_variables() -> None:
    assert "port=1234, verbose=False" in run()
    assert "port=7" in run("--port", "7", INTERPLAY_PORT="8")
    assert "port=8, verbose=True" in run(INTERPLAY_PORT="8", INTERPLAY_VERBOSE="true")
    assert f"home={Path('elsewhere')!r}" in run(INTERPLAY_HOME="elsewhere")


def test_help_tells_flag_variable_default_and_meaning() -> None:
    text = " ".join(run("--help").split())
    assert "--max-records INTEGER" in text
    assert "interactions kept online for each customer" in text
    assert "INTERPLAY_MAX_RECORDS; default: 100" in text


def test_a_wrong_value_is_named() -> None:
    assert "'many' is not a valid integer" in run("--port", "many")
    assert "'many' is not a valid integer" in run(INTERPLAY_PORT="many")
