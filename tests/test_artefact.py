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
    (tmp_path / "model.onnx").write_bytes(bytes(range(256)))
    (tmp_path / "golden.npz").write_bytes(b"golden")
    table_GD, known_H = np.zeros((2, 3)), np.zeros(0, np.uint32)
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
    assert load_content(artefact).table_GD.shape == (2, 3)
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
    with pytest.raises(ArtefactError, match=r"manifest.json cannot be read"):
        verify(artefact, VOCABULARY)
