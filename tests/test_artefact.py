"""The artefact: whatever is wrong with it is found before it serves."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.artefact import (
    FILES,
    ArtefactError,
    Contract,
    load_content,
    load_items,
    load_popularity,
    verify,
    write_contract,
    write_manifest,
)
from features.encoding import SCHEMA_VERSION
from features.vocabulary import load_vocabulary

VOCABULARY = load_vocabulary()
CONTENT = ("table_GD", "cold_D1", "known_H")
CONTRACT = Contract(
    schema_version=SCHEMA_VERSION,
    vocabulary_digest=VOCABULARY.digest,
    predicted_types=VOCABULARY.predicted,
    max_length=50,
    horizon_days=7.0,
    item_count=2,
    metrics={"ndcg_at_10": 0.25},
    lineage={"parent": ""},
)


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(b"\x08\x0a")  # of ONNX IR 10, with nothing in it
    (tmp_path / "golden.npz").write_bytes(b"golden")
    table_GD, known_H = np.zeros((1, 3)), np.zeros(0, np.uint32)  # nothing is described
    np.savez(tmp_path / "content.npz", table_GD=table_GD, cold_D1=np.arange(4.0), known_H=known_H)
    (tmp_path / "popularity.json").write_text('{"": [1, 0], "web": [1]}')
    pq.write_table(pa.table({"item_id": ["tea", "mug"]}), tmp_path / "items.parquet")
    write_contract(tmp_path, CONTRACT)
    write_manifest(tmp_path)
    return tmp_path


def test_a_sound_artefact_is_read_whole(artefact: Path) -> None:
    assert verify(artefact, VOCABULARY) == CONTRACT
    assert load_items(artefact).item_ids == ("tea", "mug")
    assert load_popularity(artefact) == {"": [1, 0], "web": [1]}
    assert load_content(artefact).table_GD.shape == (1, 3)
    assert load_content(artefact).cold_D1.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_is_found(artefact: Path, name: str) -> None:
    content = bytearray((artefact / name).read_bytes())
    content[len(content) // 2] ^= 1
    (artefact / name).write_bytes(content)
    with pytest.raises(ArtefactError, match=name):
        verify(artefact, VOCABULARY)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(artefact: Path, name: str) -> None:
    (artefact / name).unlink()
    with pytest.raises(ArtefactError, match=f"{name} is missing"):
        verify(artefact, VOCABULARY)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("schema_version", 0, "encoded by schema 0"),
        ("vocabulary_digest", "x", "trained with vocabulary x"),
        ("predicted_types", ["view"], r"predicts \('view',\)"),
        ("surprise", 1, "is no contract"),
        ("max_length", "50", "'50' is no number of items, or of tokens"),
        ("item_count", 0, "0 is no number of items"),
    ],
)
def test_a_contract_for_something_else_is_refused(
    artefact: Path, field: str, value: object, message: str
) -> None:
    path = artefact / "contract.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    write_manifest(artefact)
    with pytest.raises(ArtefactError, match=message):
        verify(artefact, VOCABULARY)


def test_an_artefact_without_a_manifest_is_refused(artefact: Path) -> None:
    (artefact / "manifest.json").unlink()
    with pytest.raises(ArtefactError, match=r"manifest.json cannot be used"):
        verify(artefact, VOCABULARY)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"table_GD": np.full((2, 3), np.nan)}, "a weight is no finite number"),
        ({"cold_D1": np.array([0, 0, 0, np.inf])}, "a weight is no finite number"),
        ({"cold_D1": np.zeros(3)}, "its arrays have the shapes"),
        ({"table_GD": np.zeros(3)}, "content.npz cannot be used"),
        ({"known_H": np.zeros(0)}, "its arrays have the shapes"),
        ({"known_H": np.array([{}], object)}, "Object arrays cannot be loaded"),
    ],
)
def test_content_that_cannot_be_is_refused(
    artefact: Path, changed: dict[str, np.ndarray], message: str
) -> None:
    content = vars(load_content(artefact)) | changed
    np.savez(artefact / "content.npz", **{each: content[each] for each in CONTENT})
    with pytest.raises(ArtefactError, match=message):
        load_content(artefact)


@pytest.mark.parametrize("text", ["[]", "{}", '{"": [2]}', '{"": [-1]}', '{"": ["tea"]}', "{"])
def test_popularity_of_no_known_items_is_refused(artefact: Path, text: str) -> None:
    (artefact / "popularity.json").write_text(text)
    with pytest.raises(ArtefactError, match=r"popularity\.json cannot be used"):
        load_popularity(artefact)


def test_how_often_items_were_met_is_read_where_it_is_told(artefact: Path) -> None:
    assert load_items(artefact).count_V is None
    table = {"item_id": ["tea", "mug"], "interaction_count": [7, 0]}
    pq.write_table(pa.table(table), artefact / "items.parquet")
    counted = load_items(artefact).count_V
    assert counted is not None
    assert counted.tolist() == [7, 0]


@pytest.mark.parametrize(
    "table",
    [
        {"item_id": [1, 2]},
        {"name": ["tea", "mug"]},
        {"item_id": ["tea", "mug"], "interaction_count": ["7", "0"]},
        {"item_id": ["tea", "mug"], "interaction_count": [7, None]},
    ],
)
def test_items_that_are_not_told_right_are_refused(
    artefact: Path, table: dict[str, list[object]]
) -> None:
    pq.write_table(pa.table(table), artefact / "items.parquet")
    with pytest.raises(ArtefactError, match=r"items\.parquet cannot be used"):
        load_items(artefact)


def test_a_manifest_that_is_not_as_it_was_written_is_refused(artefact: Path) -> None:
    path = artefact / "manifest.json"
    path.write_text(path.read_text().rstrip())
    with pytest.raises(ArtefactError, match="it is not as it was written"):
        verify(artefact, VOCABULARY)
