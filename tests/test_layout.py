"""What may lie in the repository, and where."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = {"LICENSE", "Makefile", "README.md", "pyproject.toml"}
FOLDERS = {"benchmarks", "features", "k8s", "proto", "serving", "tests", "training"}
GENERATED = re.compile(r"_pb2(_grpc)?\.pyi?$")
DATA = re.compile(r"\.(csv|db|gz|jsonl|npz|npy|onnx|parquet|pickle|pkl|pt|sqlite|tsv|zip)$")
MACHINE_PATH = re.compile(r"(?<![\w.])/((home|root|Users|work)/|tmp/\w)")
MAX_LINES = 300


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """What git has of this project, by paths from the top."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout: what is tracked cannot be told")
    run = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [path for path in run.stdout.split("\0") if path and (ROOT / path).exists()]


def test_the_top_level_holds_what_the_design_names(tracked: list[str]) -> None:
    visible = {path for path in tracked if not path.startswith(".")}
    assert {path for path in visible if "/" not in path} == FILES
    assert {path.split("/")[0] for path in visible if "/" in path} == FOLDERS


def test_neither_stubs_nor_data_are_tracked(tracked: list[str]) -> None:
    assert [path for path in tracked if GENERATED.search(path) or DATA.search(path)] == []


def test_no_program_file_outgrows_its_concept(tracked: list[str]) -> None:
    lines = {path: len(_text(path).splitlines()) for path in tracked if path.endswith(".py")}
    assert {path: count for path, count in lines.items() if count > MAX_LINES} == {}


def test_every_module_says_in_its_first_line_what_it_is(tracked: list[str]) -> None:
    modules = [path for path in tracked if path.endswith(".py") and not path.startswith("tests/")]
    assert [path for path in modules if not _text(path).startswith('"""')] == []


def test_no_path_of_one_machine_is_written_down(tracked: list[str]) -> None:
    found = {
        path: [each.group() for each in MACHINE_PATH.finditer(_text(path))] for path in tracked
    }
    assert {path: places for path, places in found.items() if places} == {}


def _text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")
