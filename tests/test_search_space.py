"""The space of a search: what it cannot hold is told with file, line, field and value."""

import dataclasses
from pathlib import Path

import pytest

from features.declared import DeclarationError
from training.settings import SPACE_PATH, TrainingSettings
from training.tuning.space import Space, read_space

SETTINGS = TrainingSettings()


def faults(folder: Path, text: str, settings: TrainingSettings = SETTINGS) -> list[str]:
    """What is wrong with a space, without the folder."""
    file = folder / "space.yaml"
    file.write_text(text)
    with pytest.raises(DeclarationError) as error:
        read_space(file, settings, max_records=100)
    return str(error.value).replace(f"{folder}/", "").splitlines()


def test_the_built_in_space_can_be_searched() -> None:
    space = read_space(SPACE_PATH, SETTINGS, max_records=100)
    names = ["width", "blocks", "dropout", "learning_rate", "positions_a_step"]
    assert [name for name, _ in space.searched] == names


def test_an_unknown_setting_or_field_is_named_with_its_line(tmp_path: Path) -> None:
    assert faults(tmp_path, "width: [16, 32]\nwdith: [16]\n") == [
        "space.yaml:2: wdith is [16]: Extra inputs are not permitted"
    ]
    assert faults(tmp_path, "dropout:\n  low: 0.1\n  high: 0.2\n  stride: 2\n") == [
        "space.yaml:4: dropout.stride is 2: Extra inputs are not permitted"
    ]


def test_a_value_of_another_kind_is_refused(tmp_path: Path) -> None:
    assert faults(tmp_path, "blocks:\n - 1\n - two\n - 0\ndropout: {low: 0.1, high: 1.0}\n") == [
        "space.yaml:3: blocks.choices.1 is 'two': Input should be a valid integer",
        "space.yaml:4: blocks.choices.2 is 0: Input should be greater than or equal to 1",
        "space.yaml:5: dropout.high is 1.0: Input should be less than 1",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("width: []", "width is []: must be a list of values, or low and high"),
        ("width: 16", "width is 16: must be a list of values, or low and high"),
        ("width: {low: 16}", "width is {'low': 16}: must be a list of values, or low and high"),
        (
            "dropout: {low: 0.3, high: 0.1}",
            "dropout is {'low': 0.3, 'high': 0.1}: is empty: low must be below high",
        ),
        (
            "dropout: {low: 0.0, high: 0.1, scale: log}",
            "dropout is {'low': 0.0, 'high': 0.1, 'scale': 'log'}: "
            "on a log scale low must be above 0",
        ),
        (
            "",
            "the space is {}: must name settings to search, of: width, heads, blocks, "
            "max_length, dropout, learning_rate, positions_a_step, averaging",
        ),
    ],
)
def test_an_empty_range_is_refused(tmp_path: Path, text: str, told: str) -> None:
    assert faults(tmp_path, text) == [f"space.yaml:1: {told}"]


def test_models_that_cannot_be_built_are_refused(tmp_path: Path) -> None:
    three = dataclasses.replace(SETTINGS, heads=3)
    assert faults(tmp_path, "blocks: [1]\nwidth: [63, 64]\n", three) == [
        "space.yaml:2: width is 64: must be divisible by heads, 3"
    ]
    assert faults(tmp_path, "blocks: [1]\nheads: [2, 5]\n") == [
        "space.yaml:2: heads is 5: must divide the width, 64"
    ]
    assert faults(tmp_path, "max_length: [50, 100]\n") == [
        "space.yaml:1: max_length is 100: must be below max-records, 100, "
        "the interactions kept online"
    ]


def test_every_setting_of_a_space_is_one_of_training() -> None:
    assert set(Space.model_fields) <= set(TrainingSettings.__slots__)
